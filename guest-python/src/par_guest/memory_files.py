"""Temporary files without a temporary directory.

A file that has no name may as well be in memory; web frameworks use such files for uploads.
A file that needs a name is refused with a sentence.
"""

from __future__ import annotations

import errno
import io
import tempfile
from typing import IO, Any

_REFUSED = (
    "there is no temporary directory in the sandbox; keep the data in memory "
    "(`io.BytesIO`) or use `tempfile.TemporaryFile`, which does"
)

_open_temporary_file = tempfile.TemporaryFile
_find_directory = tempfile._get_default_tempdir  # type: ignore[attr-defined]
_roll_over = tempfile.SpooledTemporaryFile.rollover


def apply() -> dict[Any, Any]:
    """Replaces what `tempfile` does without a directory; returns what to replace everywhere."""
    tempfile._get_default_tempdir = find_directory  # type: ignore[attr-defined]
    tempfile.SpooledTemporaryFile.rollover = roll_over  # type: ignore[method-assign]
    return {_open_temporary_file: open_temporary_file}


def find_directory(*candidates: Any) -> str:
    """The temporary directory the agent was granted; says what to do when there is none."""
    try:
        return _find_directory(*candidates)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, _REFUSED) from None


def has_directory() -> bool:
    """Whether the agent may write to a temporary directory."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True


def open_temporary_file(
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | None = None,
    prefix: str | None = None,
    dir: str | None = None,  # noqa: A002 - the name in `tempfile`
    *,
    errors: str | None = None,
) -> IO[Any]:
    """`tempfile.TemporaryFile`, in memory when there is no directory."""
    if dir is not None or has_directory():
        return _open_temporary_file(
            mode, buffering, encoding, newline, suffix, prefix, dir, errors=errors
        )
    data = io.BytesIO()
    if "b" in mode:
        return data
    return io.TextIOWrapper(
        data, encoding=encoding or "utf-8", errors=errors, newline=newline, write_through=True
    )


def roll_over(file: tempfile.SpooledTemporaryFile[Any]) -> None:
    """`SpooledTemporaryFile.rollover`: the data stays where it is without a directory."""
    if has_directory():
        _roll_over(file)
