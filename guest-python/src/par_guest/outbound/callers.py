"""Which packages make a request: for the record, where a reviewer asks who it was."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

#: Where the agent's own code is.
_AGENT = "/agent/"

#: What stands before the name of a package in the path of its files.
_PACKAGES = ("/site-packages/", "/platform/")

#: What carries the request, which is no answer to who made it.
_OWN = "par_guest"

#: Most frames that are looked at, and most packages that are named.
_FRAMES = 100
_NAMES = 8


def packages(frame: FrameType | None = None) -> list[str]:
    """The packages between the agent's code and this call, the one the agent called first.

    Empty where the agent's own code makes the request itself.
    """
    if frame is None:
        frame = sys._getframe(1)
    names: list[str] = []
    for _ in range(_FRAMES):
        if frame is None:
            break
        file = frame.f_code.co_filename
        if file.startswith(_AGENT):
            break
        name = _package(file)
        if name and name != _OWN and (not names or names[-1] != name):
            names.append(name)
        frame = frame.f_back
    return names[::-1][:_NAMES]


def _package(file: str) -> str:
    for marker in _PACKAGES:
        _, found, rest = file.partition(marker)
        if found:
            return rest.split("/", 1)[0].removesuffix(".py")
    return ""
