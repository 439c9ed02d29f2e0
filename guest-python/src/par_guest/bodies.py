"""Bodies as streams of the component model, safe to cancel.

A read or write that was handed to the host cannot be taken back, and the stream must not be
dropped meanwhile. So an operation outlives the task that started it: its end is recorded
when it comes, and closing waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import componentize_py_runtime as runtime
from componentize_py_types import Ok

from par_guest.loop import loop

DROPPED = 1

READ_SIZE = 64 * 1024


class _End:
    """One end of a `stream<u8>` and the operation in flight on it, if any."""

    __slots__ = ("_closing", "_handle", "_pending", "_promise", "_type", "gone")

    def __init__(self, stream: Any) -> None:
        stream.finalizer.detach()
        self._type: int = stream.type_
        self._handle: int = stream.handle
        stream.handle = None
        self._pending: asyncio.Future[int] | None = None
        self._promise: Any = None
        self._closing = False
        #: The other end was dropped.
        self.gone = False

    def _drop(self) -> None:
        raise NotImplementedError

    def _accept(self, value: Any) -> None:
        raise NotImplementedError

    def _submit(self, result: Any) -> asyncio.Future[int] | None:
        """Takes the outcome of an operation: done now, or a future for later."""
        if isinstance(result, Ok):
            self._settle(result.value)
            return None
        waitable, self._promise = result.value
        self._pending = loop.watch(waitable, self._promise)
        self._pending.add_done_callback(self._ended)
        return self._pending

    def _ended(self, future: asyncio.Future[int]) -> None:
        self._pending = None
        self._settle(runtime.promise_get_result(future.result(), self._promise))
        if self._closing:
            self._drop()

    def _settle(self, outcome: tuple[int, Any]) -> None:
        code, value = outcome
        if code == DROPPED:
            self.gone = True
        self._accept(value)

    async def _idle(self) -> None:
        """Waits for the operation in flight; being cancelled leaves it in flight."""
        pending = self._pending
        if pending is not None:
            await asyncio.shield(pending)

    def close(self) -> None:
        """Drops this end, now or when its operation has ended."""
        if not self._closing:
            self._closing = True
            if self._pending is None:
                self._drop()


class BodyWriter(_End):
    """The end the response body is written to."""

    __slots__ = ("_rest",)

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._rest: bytes | memoryview = b""

    @property
    def busy(self) -> bool:
        """Whether bytes were not taken yet, by somebody who may still take them."""
        return not self.gone and (self._pending is not None or bool(self._rest))

    def start(self, data: bytes) -> None:
        """Begins to write `data`; [`write`] or [`drained`] wait for the end of it."""
        self._rest = data
        self._continue()

    def _continue(self) -> None:
        while self._rest and not self.gone and self._pending is None:
            self._submit(runtime.stream_write(self._type, self._handle, bytes(self._rest)))

    def _accept(self, value: Any) -> None:
        self._rest = memoryview(self._rest)[value:] if value < len(self._rest) else b""

    async def drained(self) -> None:
        """Returns when everything was taken, or nobody is left to take it."""
        while True:
            await self._idle()
            if self.gone or not self._rest:
                return
            self._continue()

    async def write(self, data: bytes) -> None:
        """Writes all of `data`, waiting as long as the reader is slow."""
        await self.drained()
        if not self.gone:
            self.start(data)
            await self.drained()

    def _drop(self) -> None:
        runtime.stream_drop_writable(self._type, self._handle)


class BodyReader(_End):
    """The end a request body is read from."""

    __slots__ = ("_chunk",)

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._chunk = b""

    async def read(self) -> bytes:
        """Returns the next bytes; `b""` at the end."""
        while not self._chunk and not self.gone:
            if self._pending is None:
                self._submit(runtime.stream_read(self._type, self._handle, READ_SIZE))
            await self._idle()
        chunk, self._chunk = self._chunk, b""
        return chunk

    def _accept(self, value: Any) -> None:
        self._chunk += value

    def _drop(self) -> None:
        runtime.stream_drop_readable(self._type, self._handle)
