"""Runs at once what a library would run in a thread.

`def` endpoints of FastAPI and Starlette, `asyncio.to_thread`, `anyio.to_thread.run_sync` and
thread pools: all exist to keep the event loop free while something blocks. Without threads
the result is the same, and a `def` endpoint costs what an `async def` endpoint costs.
"""

from __future__ import annotations

import asyncio
import importlib
import logging.handlers
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from par_guest.fairness import at_once, iterate
from par_guest.loading import WouldWaitError, run_without_waiting

T = TypeVar("T")

#: The distributions of the modules below.
FIXED = {"anyio", "starlette"}

#: Modules whose functions are replaced, when they are installed.
_PATCHED = (
    "anyio.to_thread",
    "anyio.from_thread",
    "anyio._backends._asyncio",
    "starlette.concurrency",
)


def apply() -> dict[Any, Any]:
    """Replaces methods in place; returns the functions to replace everywhere."""
    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign,assignment]
    logging.handlers.QueueListener.start = listen  # type: ignore[method-assign]
    logging.handlers.QueueListener.stop = stop_listening  # type: ignore[method-assign]
    return {asyncio.to_thread: to_thread, asyncio.run: run, **apply_to_libraries()}


def apply_to_libraries() -> dict[Any, Any]:
    """The same for the libraries alone, in whichever version they are found."""
    replacements: dict[Any, Any] = {}
    for name in _PATCHED:
        module = _installed(name)
        if module is not None:
            replacements |= _REPLACEMENTS[name](module)
    return replacements


def listen(listener: logging.handlers.QueueListener) -> None:
    """`QueueListener.start` without the thread: what is put into the queue is handled at once."""
    listener.queue.put_nowait = listener.handle  # type: ignore[method-assign,union-attr]


def stop_listening(listener: logging.handlers.QueueListener) -> None:
    """`QueueListener.stop`: what is put into the queue from now on stays there."""
    vars(listener.queue).pop("put_nowait", None)


async def to_thread(func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """`asyncio.to_thread` without the thread."""
    return await at_once(copy_context().run, func, *args, **kwargs)


def run(main: Coroutine[Any, Any, T], **_options: Any) -> T:
    """`asyncio.run` while the one event loop there is runs already.

    Works as long as the coroutine does not wait.
    """
    try:
        return run_without_waiting(main)
    except WouldWaitError:
        raise RuntimeError(
            "`asyncio.run` cannot wait, because the event loop of the sandbox runs already; "
            "make the function `async def` and await the coroutine"
        ) from None


async def run_in_threadpool(func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """`starlette.concurrency.run_in_threadpool` without the pool; each `def` endpoint is here."""
    return func(*args, **kwargs)


def iterate_in_threadpool(iterator: Iterable[T]) -> AsyncIterator[T]:
    """`starlette.concurrency.iterate_in_threadpool`: what streams a synchronous generator."""
    return iterate(iterator)


async def run_sync(
    func: Callable[..., T],
    *args: Any,
    abandon_on_cancel: bool = False,
    cancellable: bool | None = None,
    limiter: Any = None,
) -> T:
    """`anyio.to_thread.run_sync` without the thread; there is nothing to abandon or limit."""
    return await at_once(func, *args)


def from_thread_run_sync(func: Callable[..., T], *args: Any, token: Any = None) -> T:
    """`anyio.from_thread.run_sync`: the caller is in the event loop's thread already."""
    return func(*args)


def from_thread_run(func: Callable[..., Awaitable[T]], *args: Any, token: Any = None) -> T:
    """`anyio.from_thread.run`: works as long as the coroutine does not wait."""
    coroutine: Any = func(*args)
    try:
        return run_without_waiting(coroutine)
    except WouldWaitError:
        raise RuntimeError(
            "a synchronous function cannot wait for a coroutine without threads; "
            "make the function `async def` and await it"
        ) from None


def submit(
    self: ThreadPoolExecutor, fn: Callable[..., T], /, *args: Any, **kwargs: Any
) -> Future[T]:
    """`ThreadPoolExecutor.submit` that runs `fn` before it returns."""
    if self._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(fn(*args, **kwargs))
    except BaseException as error:  # whoever asks for the result gets it, as with a thread
        future.set_exception(error)
    return future


def _to_thread(module: Any) -> dict[Any, Any]:
    return {module.run_sync: run_sync}


def _from_thread(module: Any) -> dict[Any, Any]:
    return {module.run: from_thread_run, module.run_sync: from_thread_run_sync}


def _concurrency(module: Any) -> dict[Any, Any]:
    return {
        module.run_in_threadpool: run_in_threadpool,
        module.iterate_in_threadpool: iterate_in_threadpool,
    }


def _backend(module: Any) -> dict[Any, Any]:
    """anyio's own users call the backend, not `run_sync`."""

    async def in_worker_thread(
        _cls: type,
        func: Callable[..., T],
        args: tuple[Any, ...],
        abandon_on_cancel: bool = False,
        limiter: Any = None,
    ) -> T:
        return await at_once(func, *args)

    # Before anyio 4 the backend was the module itself; who asked it was `run_sync` alone.
    if backend := getattr(module, "AsyncIOBackend", None):
        backend.run_sync_in_worker_thread = classmethod(in_worker_thread)
    return {}


_REPLACEMENTS: dict[str, Callable[[Any], dict[Any, Any]]] = {
    "anyio.to_thread": _to_thread,
    "anyio.from_thread": _from_thread,
    "anyio._backends._asyncio": _backend,
    "starlette.concurrency": _concurrency,
}


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
