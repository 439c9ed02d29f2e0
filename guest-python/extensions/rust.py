"""Compiles a PyO3 extension into a shared library the guest can be linked with."""

import shutil
from pathlib import Path

from build.interpreter import PYTHON_VERSION
from build.run import run
from extensions.c_compiler import CCompiler
from extensions.table import LOCKS, RustExtension
from extensions.toolchain import TARGET, Toolchain, cargo_home

PYO3_CONFIG = """\
implementation=CPython
version={version}
shared=true
abi3=false
lib_name=python{version}
lib_dir={libraries}
pointer_width=32
build_flags=
suppress_build_script_link_lines=false
"""
"""What PyO3 would otherwise ask an interpreter of the target, which cannot run here."""


def compile_rust(
    extension: RustExtension,
    source: Path,
    compilers: Toolchain,
    c_compiler: CCompiler,
    libraries: Path,
    work: Path,
) -> bytes:
    """Returns the shared library of `extension`, linked against the guest's own CPython.

    Some crates bring C: their build scripts call `c_compiler`.
    """
    config = work / "pyo3.txt"
    config.write_text(PYO3_CONFIG.format(version=PYTHON_VERSION, libraries=libraries))
    target = work / "target"
    if extension.lock:
        shutil.copyfile(LOCKS / extension.lock, source / "Cargo.lock")
    wrapper = _wrapper(extension.unstable, work)
    run(
        [
            "cargo",
            "rustc",
            "--release",
            "--locked",
            "--lib",
            "--package",
            extension.crate,
            *(["--features", ",".join(extension.features)] if extension.features else []),
            # As the only crate type: beside an rlib, link-time optimisation is off, and the
            # library then imports interfaces of WASI that the guest does not have.
            "--crate-type",
            "cdylib",
            "--target",
            TARGET,
            "--target-dir",
            target,
        ],
        what=f"compile {extension.name} {extension.version}",
        cwd=source,
        env={
            **compilers.environment(),
            "TMPDIR": str(work),
            "PYO3_CONFIG_FILE": str(config),
            **({"RUSTC_WRAPPER": str(wrapper)} if wrapper else {}),
            "CC_wasm32_wasip2": str(c_compiler.cc),
            "AR_wasm32_wasip2": str(c_compiler.ar),
            "CARGO_PROFILE_RELEASE_LTO": "fat",
            "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1",
            "CARGO_PROFILE_RELEASE_OPT_LEVEL": extension.opt_level,
            "CARGO_TARGET_WASM32_WASIP2_LINKER": str(compilers.linker),
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS": " ".join(_flags(libraries, work)),
        },
    )
    return (target / TARGET / "release" / f"{extension.library}.wasm").read_bytes()


def _wrapper(unstable: list[list[str]], work: Path) -> Path | None:
    """A program `cargo` calls instead of `rustc`, which allows single crates what is unstable.

    Allowed to all of them, the build scripts of some would take it for a nightly compiler.
    """
    if not unstable:
        return None
    cases = "".join(
        f"*' --crate-name {crate} '*' --target {TARGET} '*)\n"
        f"    RUSTC_BOOTSTRAP=1 exec \"$@\" '-Zcrate-attr=feature({feature})' ;;\n"
        for crate, feature in unstable
    )
    program = work / "rustc"
    program.write_text(f'#!/bin/sh\ncase " $* " in\n{cases}esac\nexec "$@"\n')
    program.chmod(0o755)
    return program


def _flags(libraries: Path, work: Path) -> list[str]:
    linker = [
        "-shared",
        "--experimental-pic",
        "-Bsymbolic",  # two Rust extensions in one guest must not share symbols
        f"-L{libraries}",
        f"-lpython{PYTHON_VERSION}",
        "-lc",
    ]
    return [
        "-Crelocation-model=pic",
        "-Ctarget-feature=-crt-static",
        "-Clink-self-contained=no",
        "-Clinker-flavor=wasm-ld",
        *(f"-Clink-arg={argument}" for argument in linker),
        "-Cstrip=symbols",
        # The guest never drops Python objects without holding the interpreter.
        "--cfg=pyo3_disable_reference_pool",
        f"--remap-path-prefix={cargo_home()}=/cargo",
        f"--remap-path-prefix={work}=/build",
    ]
