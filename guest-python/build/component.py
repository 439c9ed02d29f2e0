"""Runs componentize-py."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from build.tools import tools

INSIDE = Path(__file__).with_name("inside")


def componentize(
    wit: Path, world: str, application: str, python_path: Sequence[Path], output: Path, what: str
) -> None:
    """Makes the component `output` of `world` from the module `application`.

    componentize-py imports `application` inside the guest with the n-th directory of
    `python_path` mounted, writable, at `/n`, and keeps the memory that results.
    """
    with tempfile.TemporaryDirectory(prefix="par-no-packages-") as empty:
        tools().python(
            [
                "-c",
                "from componentize_py import script; script()",
                "--wit-path",
                wit,
                "--world",
                world,
                "--quiet",
                "componentize",
                application,
                *(part for path in python_path for part in ("--python-path", path)),
                "--output",
                output,
            ],
            what=what,
            env={
                "VIRTUAL_ENV": empty,  # or the builder's own packages get into the guest
                "RUST_BACKTRACE": "0",  # an exception of Python is what matters
            },
        )
