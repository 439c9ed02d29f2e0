"""Builds CPython's allocator for small blocks, PAR's own extension of the guest."""

import tempfile
import tomllib
from pathlib import Path

from build.cache import entry
from build.interpreter import interpreter
from build.key import Inputs
from build.paths import GUEST_PYTHON, cache_root
from build.tools import PINNED
from extensions.c_compiler import PINNED as COMPILER_PINNED
from extensions.c_compiler import c_compiler
from extensions.prune import prune
from extensions.rust import compile_rust
from extensions.table import RustExtension, read_table
from extensions.toolchain import toolchain
from extensions.wheel import SUFFIX
from extensions.wheels import PROGRAM, PROGRAM_OF_KIND

CRATE = GUEST_PYTHON / "allocator"
SOURCES = [CRATE / "Cargo.toml", CRATE / "Cargo.lock", CRATE / "src"]
MODULE = "_par_allocator"


def allocator_key() -> str:
    """The content address of the library."""
    versions, _ = read_table()
    return (
        Inputs("allocator")
        .value("toolchain", [versions.rust, versions.llvm])
        .files(PINNED, COMPILER_PINNED, *PROGRAM, *PROGRAM_OF_KIND[RustExtension])
        .files(Path(__file__), *SOURCES)
        .key()
    )


def allocator() -> Path:
    """The shared library, built when anything it is made of has changed."""

    def make(directory: Path) -> None:
        versions, _ = read_table()
        package = tomllib.loads((CRATE / "Cargo.toml").read_text())["package"]
        extension = RustExtension(
            name=package["name"],
            version=package["version"],
            sha256="",
            crate=package["name"],
            library=MODULE,
            module=MODULE,
            package="",
            opt_level="3",
        )
        with tempfile.TemporaryDirectory(prefix=".allocator.", dir=cache_root()) as name:
            compilers, libraries = toolchain(versions), interpreter() / "lib"
            library = compile_rust(extension, CRATE, compilers, c_compiler(), libraries, Path(name))
        (directory / (MODULE + SUFFIX)).write_bytes(prune(library))

    return entry("allocator", allocator_key(), make, "the allocator") / (MODULE + SUFFIX)
