"""Builds the wheel of each extension, or finds it in the cache."""

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from build.cache import entry, remove
from build.interpreter import interpreter
from build.key import Inputs
from build.paths import GUEST_PYTHON, cache_root
from build.tools import PINNED, tools
from extensions.c import compile_c
from extensions.c_compiler import PINNED as COMPILER_PINNED
from extensions.c_compiler import CCompiler, c_compiler
from extensions.headers import headers
from extensions.prune import prune
from extensions.rust import compile_rust
from extensions.source import fetch_source
from extensions.table import CExtension, Extension, RustExtension, ToolchainVersions, read_table
from extensions.toolchain import Toolchain, toolchain
from extensions.wheel import wheel_name, write_wheel

PROGRAM = [
    GUEST_PYTHON / "build" / name
    for name in ("embedded.py", "interpreter.py", "unpacking.py", "wasm.py")
] + [
    GUEST_PYTHON / "extensions" / name
    for name in ("c_compiler.py", "debian.py", "prune.py", "source.py", "toolchain.py", "wheel.py")
]
"""The sources that decide what a wheel holds."""

PROGRAM_OF_KIND = {
    RustExtension: [GUEST_PYTHON / "extensions/rust.py"],
    CExtension: [GUEST_PYTHON / "extensions" / name for name in ("c.py", "headers.py")],
}


@dataclass(frozen=True)
class Built:
    """An extension and the wheel it became."""

    extension: Extension
    wheel: Path


def wheels() -> list[Built]:
    """The wheel of every extension in `extensions.toml`, in that order.

    As many at a time as there are cores: the last and longest step of each runs on one.
    Releases of one line follow each other, and have what they have in common compiled once.
    """
    versions, extensions = read_table()
    lines: dict[tuple[str, str, str], list[Extension]] = {}
    for one in extensions:
        line = (one.name, one.version.rpartition(".")[0], one.opt_level)
        lines.setdefault(line, []).append(one)

    def build(line: list[Extension]) -> list[Built]:
        with tempfile.TemporaryDirectory(prefix=".extension.", dir=cache_root()) as work:
            return [Built(one, _wheel(one, versions, Path(work))) for one in line]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = [one for line in pool.map(build, lines.values()) for one in line]
    return sorted(built, key=lambda one: extensions.index(one.extension))


def wheel_keys(*, carried_only: bool) -> list[str]:
    """The content addresses of what `wheels()` returns, or of those the guest carries."""
    versions, extensions = read_table()
    wanted = [one for one in extensions if one.carried or not carried_only]
    return [wheel_key(extension, versions) for extension in wanted]


def wheel_key(extension: Extension, versions: ToolchainVersions) -> str:
    """The content address of a wheel: all that goes in."""
    return (
        Inputs("wheel")
        .value("extension", extension.as_input())
        .value("toolchain", [versions.rust, versions.llvm])
        .files(PINNED, COMPILER_PINNED, *PROGRAM, *PROGRAM_OF_KIND[type(extension)])
        .key()
    )


COMPILED = "target"
"""Where Cargo has what it compiled, which the next release of the same line takes from there."""


def _wheel(extension: Extension, versions: ToolchainVersions, work: Path) -> Path:
    def make(directory: Path) -> None:
        for left in work.iterdir():
            if left.name != COMPILED:
                remove(left)
        rust, c = toolchain(versions), c_compiler()
        source = fetch_source(extension, rust.environment(), c.packages, work)
        made_with = _made_with(extension, rust, c)
        if isinstance(extension, CExtension):
            compiled = _compile_c(extension, source, rust, c, made_with, work)
        else:
            libraries = interpreter() / "lib"
            compiled = compile_rust(extension, source, rust, c, libraries, work)
        write_wheel(extension, source, prune(compiled), made_with, directory)

    directory = entry(
        "wheels", wheel_key(extension, versions), make, f"{extension.name} {extension.version}"
    )
    return directory / wheel_name(extension)


def _compile_c(
    extension: CExtension,
    source: Path,
    rust: Toolchain,
    c: CCompiler,
    made_with: dict[str, object],
    work: Path,
) -> bytes:
    found = headers(c)
    made_with["headers"] = json.loads((found / "packages.json").read_text())
    libraries = interpreter() / "lib"
    return compile_c(extension, source, rust, c, found / "include", libraries, work)


def _made_with(extension: Extension, rust: Toolchain, c: CCompiler) -> dict[str, object]:
    """What the wheel records about its own making: Debian's packages roll on, this stays."""
    return {
        "source": {"version": extension.version, "sha256": extension.sha256},
        "opt-level": extension.opt_level,
        "componentize-py": tools().version("componentize-py"),
        "c-compiler": c.version,
        "debian-packages": rust.packages(),
    }
