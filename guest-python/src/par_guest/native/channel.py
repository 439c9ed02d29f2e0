"""The socket to the host: frames in, frames out.

While the agent is loaded there is no event loop yet, because an agent may run one of its own
then; frames are read and written by blocking calls. From [`Channel.attach`] on the loop does both.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from par_guest.native.frames import HEADER, Kind, frame

#: Takes kind, number of the call and payload.
Receive = Callable[[int, int, bytes], None]

#: Frames that follow each other this closely leave together. A write for each would cost a tenth of
#: a small request; one that comes later may have kept the loop busy, and what is due does not wait
#: for the next of its kind. Unit: seconds.
TOGETHER = 0.0003


class Channel(asyncio.Protocol):
    """One end of the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.get_ident()
        self._transport: Any = None
        self._receive: Receive = _ignore
        self._rest = b""
        #: Frames that leave at the end of this turn of the loop.
        self._waiting: list[bytes] = []
        #: When the last frame was sent, on the monotonic clock.
        self._sent = 0.0
        #: Resolved when the host has closed its end.
        self.closed: asyncio.Future[None] | None = None

    def read(self) -> tuple[int, int, bytes]:
        """Reads one frame, waiting for it. Raises `EOFError` when the host is gone."""
        length, kind, call = HEADER.unpack(self._exactly(HEADER.size))
        return kind, call, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._socket.recv(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    async def attach(self, receive: Receive) -> None:
        """Hands the socket to the running loop."""
        self._receive = receive
        loop = asyncio.get_running_loop()
        self.closed = loop.create_future()
        self._socket.setblocking(False)
        await loop.create_connection(lambda: self, sock=self._socket)
        with self._lock:
            self._loop = loop

    def send(self, kind: int, call: int = 0, payload: bytes = b"") -> None:
        """Sends a frame; from the thread of the loop only, once there is one."""
        data = frame(kind, call, payload)
        if self._transport is None:
            with self._lock:
                self._socket.sendall(data)
            return
        now = time.monotonic()
        since, self._sent = now - self._sent, now
        self._waiting.append(data)
        if since > TOGETHER:
            self._leave()
        elif len(self._waiting) == 1:
            self._loop.call_soon(self._leave)

    def _leave(self) -> None:
        """Writes what waits."""
        if waiting := self._waiting:
            self._transport.write(b"".join(waiting) if len(waiting) > 1 else waiting[0])
            waiting.clear()

    def send_json(self, kind: int, value: Any, call: int = 0) -> None:
        """Sends a frame with a JSON value."""
        self.send(kind, call, json.dumps(value).encode("utf-8", "surrogatepass"))

    def log(
        self, level: str, logger: str, message: str, traceback: str | None, call: int | None
    ) -> None:
        """Sends a log record, from any thread."""
        entry = {"level": level, "logger": logger, "message": message, "traceback": traceback}
        payload = json.dumps(entry).encode("utf-8", "replace")
        with self._lock:
            loop = self._loop
            if loop is None:
                self._socket.sendall(frame(Kind.LOG, call or 0, payload))
                return
        if threading.get_ident() == self._thread:
            self.send(Kind.LOG, call or 0, payload)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self.send, Kind.LOG, call or 0, payload)

    def connection_made(self, transport: Any) -> None:
        """Called by the loop."""
        self._transport = transport
        # Limits are kept by the windows of bodies; a frame that is due is never held back.
        transport.set_write_buffer_limits(high=1 << 30)

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the loop."""
        if self.closed is not None and not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= HEADER.size:
            length, kind, call = HEADER.unpack_from(data, at)
            start = at + HEADER.size
            if end - start < length:
                break
            at = start + length
            self._receive(kind, call, data[start:at])
        self._leave()
        self._rest = data[at:]


def _ignore(_kind: int, _call: int, _payload: bytes) -> None:
    pass
