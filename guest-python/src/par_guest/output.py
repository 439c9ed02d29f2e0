"""Standard output and error of the guest: what is written arrives, whole and at once.

The interpreter of the guest writes to them without a buffer, and takes what the system accepted
of a text, 8 KiB at most, for all of it.
"""

from __future__ import annotations

import io
import sys
from typing import Any


class _Whole(io.BufferedWriter):
    """Writes until everything is written, and keeps nothing back."""

    def write(self, data: Any) -> int:
        """As that of the class below, but nothing waits."""
        written = super().write(data)
        self.flush()
        return written


def whole(raw: io.RawIOBase, errors: str | None = None) -> io.TextIOWrapper:
    """A stream of text above `raw` that writes all of it."""
    return io.TextIOWrapper(_Whole(raw), encoding="utf-8", errors=errors, write_through=True)


def apply() -> dict[io.TextIOWrapper, io.TextIOWrapper]:
    """What is to be in the place of the standard streams, where they have no buffer."""
    found = {}
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, io.FileIO):
            raw = io.FileIO(stream.fileno(), "wb", closefd=False)
            raw.name = stream.name
            found[stream] = whole(raw, stream.errors)
    return found
