"""Compiles directories for the guest's Python, which no host has: the guest does it itself."""

import shutil
import tempfile
from pathlib import Path

from build.component import INSIDE, componentize

PROGRAM = [
    INSIDE / "bytecode.py",
    INSIDE / "compile_mounted.py",
    INSIDE / "compile.wit",
    Path(__file__),
]
"""The sources that decide what the `.pyc` files hold."""


def compile_directory(directory: Path, mounted_at: str) -> None:
    """Adds `.pyc` files to `directory`, which the guest will find at `mounted_at`.

    A throwaway component compiles them while it is initialised, when the directories of the
    host are still mounted writable.
    """
    with tempfile.TemporaryDirectory(prefix="par-compile-") as name:
        work = Path(name)
        for module in ("bytecode.py", "compile_mounted.py"):
            shutil.copy(INSIDE / module, work)
        (work / "mounted_at.txt").write_text(mounted_at)
        componentize(
            INSIDE / "compile.wit",
            "compile",
            "compile_mounted",
            [work, directory],
            work / "unused.wasm",
            what=f"compile what is mounted at `{mounted_at}`",
        )
