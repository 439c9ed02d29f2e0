"""Pins the requirements of the build: `just lock-guest`, after a change to a `.in` file.

Needs `uv` on the path. The result is committed; a build only ever installs what it names.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from build.interpreter import PYTHON_VERSION  # noqa: E402
from build.paths import REQUIREMENTS  # noqa: E402
from build.program import OLDEST_PYTHON, main  # noqa: E402
from build.run import run  # noqa: E402
from extensions.table import read_table  # noqa: E402


def lock() -> None:
    """Rewrites `tools.txt`, `compiler.txt`, `just.txt` and `platform.txt`."""
    host = ["--universal", "--python-version", ".".join(map(str, OLDEST_PYTHON))]
    _compile("tools", host)
    _compile("compiler", host)
    _compile("just", host)
    # Native libraries are our own wheels, so a wheel's platform does not matter here; that
    # the others are pure is checked when they are installed.
    _, extensions = read_table()
    names = sorted({one.name for one in extensions})
    built_here = [part for name in names for part in ("--no-emit-package", name)]
    _compile(
        "platform", ["--python-platform", "linux", "--python-version", PYTHON_VERSION, *built_here]
    )


def _compile(name: str, options: list[str]) -> None:
    run(
        [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--no-python-downloads",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
            "--only-binary",
            ":all:",
            *options,
            f"{name}.in",
            "--output-file",
            f"{name}.txt",
        ],
        what=f"lock `{name}.in`",
        cwd=REQUIREMENTS,
        hint="`uv` has to be on the path: `pip install uv`",
    )


main(lock)
