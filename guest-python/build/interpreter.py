"""The guest's CPython as the build needs it: libraries to link with, standard library."""

from pathlib import Path

from build.cache import entry
from build.key import Inputs
from build.paths import GUEST_PYTHON
from build.tools import PINNED, tools

PYTHON_VERSION = "3.14"
"""The CPython inside the pinned componentize-py."""


def interpreter_key() -> str:
    """The content address of what `interpreter()` returns."""
    program = [GUEST_PYTHON / "build" / name for name in ("embedded.py", "unpacking.py", "wasm.py")]
    return Inputs("interpreter").files(PINNED, *program).key()


def interpreter() -> Path:
    """A directory with `lib/*.so` and `python/`, taken out of the componentize-py wheel."""

    def make(directory: Path) -> None:
        tools().python(
            ["-m", "build.embedded", directory], what="take the componentize-py wheel apart"
        )

    return entry("interpreter", interpreter_key(), make, "the interpreter's libraries")
