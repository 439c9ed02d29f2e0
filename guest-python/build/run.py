"""Runs the programs the build is made of; a failure shows what they printed."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from build.errors import BuildError

SHOWN_LINES = 60
"""How much of a failing program's output is shown."""


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    hint: str | None = None,
) -> str:
    """Runs `command` and returns its standard output.

    Raises `BuildError` naming `what` and quoting the end of the output when the program is
    missing or fails.
    """
    arguments = [str(argument) for argument in command]
    try:
        done = subprocess.run(
            arguments,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise BuildError(
            f"cannot run `{arguments[0]}` to {what}: {error.strerror}", hint
        ) from error
    if done.returncode != 0:
        output = (done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:]
        raise BuildError(
            f"cannot {what}: `{arguments[0]}` ended with {done.returncode}\n  "
            + "\n  ".join(output),
            hint,
        )
    return done.stdout
