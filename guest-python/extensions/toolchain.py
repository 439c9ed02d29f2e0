"""The compilers: Debian's Rust and LLVM, with Rust's standard library for WASI added.

Debian ships no standard library for `wasm32-wasip2` that can be linked into a shared library,
so it is compiled here from Debian's own Rust sources as position-independent code.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from build.cache import entry
from build.errors import BuildError
from build.key import Inputs
from build.paths import GUEST_PYTHON, cache_root
from build.run import run
from extensions.debian import unpack_packages
from extensions.table import ToolchainVersions

TARGET = "wasm32-wasip2"
KEPT_CARGO_VARIABLES = ("CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_")
"""Where crates come from is the user's business; how they are compiled is not."""


@dataclass(frozen=True)
class Toolchain:
    """Unpacked compilers."""

    directory: Path
    llvm: str

    @property
    def linker(self) -> Path:
        """`wasm-ld`."""
        return self.directory / f"root/usr/lib/llvm-{self.llvm}/bin/wasm-ld"

    def target_libraries(self) -> Path:
        """Rust's standard library for the guest."""
        return self.directory / f"root/usr/lib/rustlib/{TARGET}/lib"

    def packages(self) -> dict[str, str]:
        """The Debian packages in use and their versions."""
        return json.loads((self.directory / "packages.json").read_text())

    def environment(self) -> dict[str, str]:
        """The environment in which `cargo` and `rustc` are these, and nothing leaks in."""
        usr = self.directory / "root/usr"
        libraries = [*usr.glob("lib/*-linux-gnu"), usr / f"lib/llvm-{self.llvm}/lib"]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CARGO", "RUST", "PYO3", "PYTHON", "LD_"))
            or name.startswith(KEPT_CARGO_VARIABLES)
        }
        return {
            **kept,
            "PATH": f"{usr / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            "CARGO_HOME": str(cargo_home()),
        }


def cargo_home() -> Path:
    """Where crates are downloaded to: apart from the user's own Cargo."""
    return cache_root() / "cargo"


def toolchain(versions: ToolchainVersions) -> Toolchain:
    """Fetches the compilers when this is the first build with these versions."""
    here = GUEST_PYTHON / "extensions"
    key = (
        Inputs("toolchain")
        .value("versions", [versions.rust, versions.llvm])
        .files(here / "toolchain.py", here / "debian.py")
        .key()
    )

    def make(directory: Path) -> None:
        if shutil.which("cc") is None:
            raise BuildError(
                "build scripts of Rust crates need a C compiler named `cc`",
                "on Debian: `apt-get install gcc libc6-dev`",
            )
        root, work = directory / "root", directory / "work"
        work.mkdir()
        packages = unpack_packages(
            ["cargo-web", "rustc-web", "rust-web-src", f"lld-{versions.llvm}"], root, work
        )
        if not packages["rustc-web"].startswith(f"{versions.rust}."):
            raise BuildError(
                f"`extensions.toml` pins Rust {versions.rust}, "
                f"Debian has rustc-web {packages['rustc-web']}",
                "set `toolchain.rust` to the new version and run the tests",
            )
        (directory / "packages.json").write_text(json.dumps(packages, indent=2) + "\n")
        _add_standard_library(Toolchain(directory, versions.llvm), work)
        shutil.rmtree(work)
        shutil.rmtree(root / "usr/share", ignore_errors=True)

    return Toolchain(entry("toolchain", key, make, "the Rust toolchain for WASI"), versions.llvm)


def _add_standard_library(compilers: Toolchain, work: Path) -> None:
    """Compiles Rust's standard library for WASI and puts it where `rustc` looks for it."""
    crate = work / "standard-library"
    (crate / "src").mkdir(parents=True)
    (crate / "src/lib.rs").touch()
    (crate / "Cargo.toml").write_text(
        '[package]\nname = "unused"\nversion = "0.0.0"\nedition = "2024"\n'
        "[profile.release]\ncodegen-units = 1\n"
    )
    run(
        [
            "cargo",
            "build",
            "--release",
            "--target",
            TARGET,
            "-Zbuild-std=std,panic_abort",
            "--target-dir",
            work / "target",
        ],
        what="compile Rust's standard library for WASI",
        cwd=crate,
        env={
            **compilers.environment(),
            "RUSTC_BOOTSTRAP": "1",  # -Zbuild-std; only here, never for the extensions
            "RUSTFLAGS": "-Crelocation-model=pic -Cembed-bitcode=yes -Ctarget-feature=-crt-static",
        },
    )
    sysroot = compilers.target_libraries()
    sysroot.mkdir(parents=True)
    for library in (work / f"target/{TARGET}/release/deps").glob("*.rlib"):
        if not library.name.startswith("libunused"):
            shutil.copy2(library, sysroot)
