"""Builds the wheel of each extension, or finds it in the cache."""

import tempfile
from pathlib import Path

from build.cache import entry
from build.interpreter import interpreter
from build.key import Inputs
from build.paths import GUEST_PYTHON, cache_root
from build.tools import PINNED, tools
from extensions.prune import prune
from extensions.rust import compile_rust
from extensions.source import fetch_source
from extensions.table import Extension, ToolchainVersions, read_table
from extensions.toolchain import Toolchain, toolchain
from extensions.wheel import wheel_name, write_wheel

PROGRAM = [
    GUEST_PYTHON / "build" / name
    for name in ("embedded.py", "interpreter.py", "unpacking.py", "wasm.py")
] + [
    GUEST_PYTHON / "extensions" / name
    for name in ("debian.py", "prune.py", "rust.py", "source.py", "toolchain.py", "wheel.py")
]
"""The sources that decide what a wheel holds."""


def wheels() -> list[Path]:
    """The wheel of every extension in `extensions.toml`, in that order."""
    versions, extensions = read_table()
    return [_wheel(extension, versions) for extension in extensions]


def wheel_keys() -> list[str]:
    """The content addresses of what `wheels()` returns."""
    versions, extensions = read_table()
    return [wheel_key(extension, versions) for extension in extensions]


def wheel_key(extension: Extension, versions: ToolchainVersions) -> str:
    """The content address of a wheel: all that goes in."""
    return (
        Inputs("wheel")
        .value("extension", extension.as_input())
        .value("toolchain", [versions.rust, versions.llvm])
        .files(PINNED, *PROGRAM)
        .key()
    )


def _wheel(extension: Extension, versions: ToolchainVersions) -> Path:
    def make(directory: Path) -> None:
        compilers = toolchain(versions)
        libraries = interpreter() / "lib"
        with tempfile.TemporaryDirectory(prefix=".extension.", dir=cache_root()) as name:
            work = Path(name)
            source = fetch_source(extension, compilers.environment(), work)
            library = prune(compile_rust(extension, source, compilers, libraries, work))
            made_with = _made_with(extension, compilers)
            write_wheel(extension, source, library, made_with, directory)

    directory = entry(
        "wheels", wheel_key(extension, versions), make, f"{extension.name} {extension.version}"
    )
    return directory / wheel_name(extension)


def _made_with(extension: Extension, compilers: Toolchain) -> dict[str, object]:
    """What the wheel records about its own making: Debian's packages roll on, this stays."""
    return {
        "source": {"version": extension.version, "sha256": extension.sha256},
        "opt-level": extension.opt_level,
        "componentize-py": tools().version("componentize-py"),
        "debian-packages": compilers.packages(),
    }
