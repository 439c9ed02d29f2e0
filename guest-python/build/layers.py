"""The directories the guest is mounted with, before PAR's own Python is added."""

import io
import zipfile
from pathlib import Path

from build.bytecode import PROGRAM, compile_directory
from build.cache import copy_tree, entry, remove
from build.interpreter import PYTHON_VERSION, interpreter, interpreter_key
from build.key import Inputs
from build.paths import GUEST_PYTHON, REQUIREMENTS
from build.tools import install, tools
from extensions.linked import without_library
from extensions.wheels import wheel_keys, wheels

PYTHON_MOUNT = "/python"
"""Where the standard library is found: componentize-py's choice."""

PLATFORM_MOUNT = "/platform"
"""Where the platform libraries and PAR's own Python are found."""

PLATFORM_REQUIREMENTS = REQUIREMENTS / "platform.txt"

LINKED = GUEST_PYTHON / "extensions/linked.py"

LEFT_OUT = ("config-3.14-wasm32-wasi", "ensurepip", "idlelib", "tkinter", "turtle.py", "turtledemo")
"""What of the standard library can do nothing here: windows, and a compiler's configuration."""


def standard_library_key() -> str:
    """The content address of the standard library."""
    return Inputs("python").value("from", interpreter_key()).files(*PROGRAM, Path(__file__)).key()


def standard_library() -> Path:
    """The standard library of the guest, compiled."""

    def make(directory: Path) -> None:
        copy_tree(interpreter() / "python", directory)
        for name in LEFT_OUT:
            remove(directory / name)
        compile_directory(directory, PYTHON_MOUNT)

    return entry("python", standard_library_key(), make, "the standard library")


def platform_key() -> str:
    """The content address of the platform libraries."""
    return (
        Inputs("platform")
        .value("compiled by", interpreter_key())
        .value("wheels", wheel_keys(carried_only=True))
        .files(PLATFORM_REQUIREMENTS, LINKED, *PROGRAM, Path(__file__))
        .key()
    )


def platform_libraries() -> Path:
    """The libraries every agent finds installed, compiled; native parts by their names."""

    def make(directory: Path) -> None:
        install(
            tools().pip, PLATFORM_REQUIREMENTS, directory,
            "--no-compile", "--python-version", PYTHON_VERSION,
            "--platform", "any", "--implementation", "py", "--abi", "none",
        )  # fmt: skip
        remove(directory / "bin")
        for built in wheels():
            if built.extension.carried:
                with zipfile.ZipFile(io.BytesIO(without_library(built))) as archive:
                    archive.extractall(directory)
        compile_directory(directory, PLATFORM_MOUNT)

    return entry("platform", platform_key(), make, "the platform libraries")
