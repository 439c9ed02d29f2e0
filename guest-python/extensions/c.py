"""Compiles an extension of C files into a shared library the guest can be linked with."""

import re
from pathlib import Path

from build.errors import BuildError
from build.interpreter import PYTHON_VERSION
from build.run import run
from extensions.c_compiler import CCompiler
from extensions.table import CExtension
from extensions.toolchain import Toolchain

MISFIT = re.compile(r"cast from '[^']*\(\*\)\([^,()]*\)'.* to '(?:PyCFunction|getter)'")
"""What the compiler says of a function of one parameter that Python will call with two.

On other machines such a call goes well; WebAssembly ends the program.
"""


def compile_c(
    extension: CExtension,
    source: Path,
    compilers: Toolchain,
    c_compiler: CCompiler,
    headers: Path,
    libraries: Path,
    work: Path,
) -> bytes:
    """Returns the shared library of `extension`, linked against the guest's own CPython."""
    what = f"compile {extension.name} {extension.version}"
    env = {**compilers.environment(), "TMPDIR": str(work)}
    objects = []
    _edit(extension, source)
    for index, file in enumerate(extension.sources):
        objects.append(work / f"{index}.o")
        said = run(
            [
                "/bin/sh",
                "-c",
                '"$0" "$@" 2>&1',
                c_compiler.cc,
                "-c",
                "-Wcast-function-type-mismatch",
                f"-O{extension.opt_level}",
                f"-I{headers}",
                *(f"-I{source / directory}" for directory in extension.include),
                f"-ffile-prefix-map={work}=/build",
                *(f"-D{macro}" for macro in extension.define),
                file,
                "-o",
                objects[-1],
            ],
            what=what,
            cwd=source,
            env=env,
        )
        if misfits := [line for line in said.splitlines() if MISFIT.search(line)]:
            raise BuildError(
                f"{extension.name} {extension.version} has functions Python could not call:\n  "
                + "\n  ".join(misfits),
                "give them their second parameter by `edits` in `extensions.toml`",
            )
    output = work / "library.so"
    run(
        [
            compilers.linker,
            "-shared",
            "--experimental-pic",
            "-Bsymbolic",
            "--strip-all",
            f"--export=PyInit_{extension.module.rpartition('.')[2]}",
            f"-L{libraries}",
            f"-lpython{PYTHON_VERSION}",
            "-lwasi-emulated-process-clocks",
            "-lc",
            *objects,
            # Arithmetic WebAssembly has no instructions for, from where Rust has it too.
            *sorted(compilers.target_libraries().glob("libcompiler_builtins-*.rlib")),
            "-o",
            output,
        ],
        what=f"link {extension.name} {extension.version}",
        cwd=source,
        env=env,
    )
    return output.read_bytes()


def _edit(extension: CExtension, source: Path) -> None:
    for before, after in extension.edits:
        holders = [file for file in extension.sources if before in (source / file).read_text()]
        if len(holders) != 1 or (source / holders[0]).read_text().count(before) != 1:
            raise BuildError(f"{extension.name} {extension.version} has not exactly one `{before}`")
        text = (source / holders[0]).read_text()
        (source / holders[0]).write_text(text.replace(before, after))
