"""Keeps synchronous code that would run in a thread from starving other requests.

Where a server has threads, code that blocks costs its own request only, and what it has sent
leaves meanwhile. On one event loop it must step aside between two pieces of work, and what it
has sent must be gone before the next piece, which may block for as long as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from time import monotonic
from typing import Any, TypeVar

from par_guest.context import current_response

T = TypeVar("T")

#: An iterator that took longer than this for one piece is one that waits (seconds).
_SLOW = 0.002

#: What such an iterator pays: long enough for the others that are ready.
_PAUSE = 0.0005

_END = object()


async def iterate(pieces: Iterable[T]) -> AsyncIterator[T]:
    """The pieces of a synchronous iterable, with a turn for everyone else after each."""
    iterator: Iterator[T] = iter(pieces)
    while True:
        started = monotonic()
        piece = next(iterator, _END)
        if piece is _END:
            return
        yield piece  # type: ignore[misc]
        await step_aside(monotonic() - started)


async def at_once(func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Calls what would run in a thread, with a turn for everyone else before and after.

    Before, for those that are ready; after, when `func` blocked.
    """
    await _all_has_left()
    loop: Any = asyncio.get_running_loop()
    if getattr(loop, "_held", None) or getattr(loop, "_ready", None):
        await asyncio.sleep(_PAUSE)
    started = monotonic()
    result = func(*args, **kwargs)
    if monotonic() - started > _SLOW:
        await asyncio.sleep(_PAUSE)
    return result


async def step_aside(seconds_used: float) -> None:
    """Lets the other tasks run after `seconds_used` of work that did not wait."""
    await _all_has_left()
    await asyncio.sleep(_PAUSE if seconds_used > _SLOW else 0)


async def _all_has_left() -> None:
    """Waits until the host has what this request's response has come to."""
    response = current_response.get()
    if response is not None and response.is_held():
        await response.left()
