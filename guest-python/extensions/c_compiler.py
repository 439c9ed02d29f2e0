"""The C compiler: Clang and the headers of a WASI C library, as the `ziglang` wheel has them.

Only objects are made with it. They are linked by the same linker as Rust's, against the guest's
own libraries.
"""

import sys
from pathlib import Path

from build.cache import entry
from build.key import Inputs
from build.paths import REQUIREMENTS
from build.tools import install, tools

PINNED = REQUIREMENTS / "compiler.txt"
"""The wheel, and what the sources of C extensions say they are built with."""

FLAGS = [
    "-target",
    "wasm32-wasi",
    "-fPIC",
    "-fvisibility=hidden",
    # Zig's default is to trap where C leaves behaviour open; other compilers do not.
    "-fno-sanitize=all",
    "-DNDEBUG",
]

SCRIPT = """\
#!/bin/sh
# Build scripts ask for a target by names only Rust knows.
for argument; do
    shift
    case $argument in --target=*) ;; *) set -- "$@" "$argument" ;; esac
done
here=${{0%/*}}
export ZIG_GLOBAL_CACHE_DIR="${{TMPDIR:-/tmp}}/zig" ZIG_LOCAL_CACHE_DIR="${{TMPDIR:-/tmp}}/zig"
exec "$here/packages/ziglang/zig" {command} "$@"
"""


class CCompiler:
    """Programs that can be called as `cc` and `ar` are."""

    def __init__(self, directory: Path) -> None:
        self.cc = directory / "cc"
        self.ar = directory / "ar"
        self.packages = directory / "packages"
        (metadata,) = self.packages.glob("ziglang-*.dist-info")
        self.version = metadata.name.removesuffix(".dist-info")


def c_compiler() -> CCompiler:
    """Installs the compiler when this is the first build with these pins."""
    key = Inputs("c-compiler").value("platform", sys.platform).files(PINNED, Path(__file__)).key()

    def make(directory: Path) -> None:
        install(tools().pip, PINNED, directory / "packages")
        for name, command in [("cc", f"cc {' '.join(FLAGS)}"), ("ar", "ar")]:
            script = directory / name
            script.write_text(SCRIPT.format(command=command))
            script.chmod(0o755)

    return CCompiler(entry("c-compiler", key, make, "the C compiler"))
