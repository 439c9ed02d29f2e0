"""`select` for sockets that are none: clients ask it whether a kept connection is still good.

An [`OutboundSocket`] has a number that no file has. Numbers and objects of other kinds go to
the system's own functions.
"""

from __future__ import annotations

import select
import weakref
from typing import Any

#: Far above what the system hands out.
_FIRST = 1 << 24

_sockets: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_last = _FIRST

_system_select = select.select
_system_poll: Any = getattr(select, "poll", None)


def register(opened: Any) -> int:
    """Returns a number for something with a method `readable`."""
    global _last
    _last += 1
    _sockets[_last] = opened
    return _last


def _own(item: Any) -> Any:
    number = item if isinstance(item, int) else item.fileno()
    return _sockets.get(number) if number >= _FIRST else None


def wait(reading: Any, writing: Any, failing: Any, timeout: float | None = None, /) -> Any:
    """`select.select`."""
    reading, writing = list(reading), list(writing)
    if not any(_own(item) for item in (*reading, *writing)):
        return _system_select(reading, writing, failing, timeout)
    readable = [item for item in reading if (own := _own(item)) and own.readable()]
    return readable, [item for item in writing if _own(item)], []


class Poll:
    """`select.poll`."""

    def __init__(self) -> None:
        self._own: dict[int, int] = {}
        self._system = _system_poll()

    def register(self, item: Any, mask: int = -1, /) -> None:
        if _own(item) is None:
            self._system.register(item, *(() if mask == -1 else (mask,)))
        else:
            self._own[item if isinstance(item, int) else item.fileno()] = mask

    modify = register

    def unregister(self, item: Any, /) -> None:
        number = item if isinstance(item, int) else item.fileno()
        if self._own.pop(number, None) is None:
            self._system.unregister(item)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        if not self._own:
            return self._system.poll(timeout)
        found = []
        for number, mask in self._own.items():
            own = _sockets.get(number)
            events = select.POLLOUT if own is not None else select.POLLNVAL
            if own is not None and own.readable():
                events |= select.POLLIN
            if events & (mask | select.POLLNVAL):
                found.append((number, events & (mask | select.POLLNVAL)))
        return found


def apply() -> dict[Any, Any]:
    """What to replace everywhere."""
    replaced: dict[Any, Any] = {_system_select: wait}
    if _system_poll is not None:
        replaced[_system_poll] = Poll
    return replaced
