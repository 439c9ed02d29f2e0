"""One HTTP request served by an ASGI application.

A response is held back until the application has nothing more to do at the moment; complete by
then, it travels as one frame, and only otherwise as a stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from par_guest.context import current_call
from par_guest.loading import format_traceback
from par_guest.native.channel import Channel
from par_guest.native.frames import A2A, PIECE, REQUEST, RESPONSE, STREAMED, UI, WINDOW, Kind
from par_guest.scope import (
    COMPLETE,
    EXPECT_BODY,
    EXPECT_START,
    HOLDING,
    INCOMPLETE,
    RAISED_LATE,
    STREAMING,
    ClientDisconnected,
    head_of,
    misplaced,
    scope_of,
)

logger = logging.getLogger("par_guest")


def surface_of(payload: bytes) -> int:
    """Which application a request is for: `UI`, `A2A`, or zero for REST."""
    return payload[0] & (UI | A2A)


class HttpCall:
    """The call of one request."""

    __slots__ = (
        "_app",
        "_body",
        "_broken",
        "_call",
        "_channel",
        "_complete",
        "_gone",
        "_headers",
        "_held",
        "_listening",
        "_loop",
        "_scope",
        "_state",
        "_status",
        "_taken",
        "_wake",
        "_window",
    )

    def __init__(
        self, channel: Channel, call: int, payload: bytes, app: Any, state: dict[str, Any] | None
    ) -> None:
        flags, length = REQUEST.unpack_from(payload)
        start = REQUEST.size
        self._channel = channel
        self._call = call
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._scope = scope_of(payload[start : start + length], state)
        self._complete = not flags & STREAMED
        self._body: list[bytes] = [payload[start + length :]] if self._complete else []
        #: The application has all of the body.
        self._taken = False
        self._broken = False
        self._gone = False
        self._listening = False
        self._wake: asyncio.Future[None] | None = None
        self._window = WINDOW
        self._state = EXPECT_START

    async def run(self) -> None:
        """Serves the request; never raises."""
        current_call.set(self._call)
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as error:
            self._fail(error)
        else:
            if self._state != COMPLETE:
                self._incomplete()

    # What the host sends.

    def took_body(self, chunk: bytes) -> None:
        """A piece of the request's body."""
        self._body.append(chunk)
        self._notify()

    def ended_body(self, *, broken: bool) -> None:
        """The body of the request is complete, or never will be."""
        self._complete = not broken
        self._broken = broken
        self._notify()

    def gone(self) -> None:
        """Nobody waits for the response any more."""
        self._gone = True
        self._notify()

    def credit(self, size: int) -> None:
        """So many bytes of the response were taken."""
        self._window += size
        self._notify()

    def _notify(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def _changed(self) -> None:
        # Several may wait: for the end of the request, and for room in the response.
        if self._wake is None:
            self._wake = self._loop.create_future()
        await asyncio.shield(self._wake)

    # What the application calls.

    async def _receive(self) -> dict[str, Any]:
        while not (self._body or self._complete or self._taken or self._broken or self._gone):
            await self._changed()
        if self._body or self._complete:
            body = b"".join(self._body)
            self._body.clear()
            self._taken, self._complete = self._complete, False
            if not self._taken:
                self._channel.send(Kind.CREDIT, self._call, len(body).to_bytes(4, "big"))
            return {"type": "http.request", "body": body, "more_body": not self._taken}
        self._listening = True
        while not (self._broken or self._gone):
            await self._changed()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        state = self._state
        if kind == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if state == EXPECT_BODY and not more and len(body) <= WINDOW:
                self._state = COMPLETE
                self._respond(bytes(body), 0)
                return
            if state == EXPECT_BODY:
                self._held = []
                self._state = state = HOLDING
                self._loop.call_soon(self._flush)
            if state == HOLDING:
                self._held.append(bytes(body))
                size = sum(map(len, self._held))
                if not more and size <= WINDOW:
                    self._state = COMPLETE
                    self._respond(b"".join(self._held), 0)
                    return
                if size < PIECE:
                    return
                # The last piece may be larger than the window, and waits for room.
                body = self._held.pop()
                self._flush()
            elif state != STREAMING:
                misplaced(kind)
            await self._stream(bytes(body), more)
        elif kind == "http.response.start":
            if state != EXPECT_START:
                misplaced(kind)
            self._status, self._headers = head_of(message)
            self._state = EXPECT_BODY
        elif not kind.startswith("http.response."):
            misplaced(kind)

    def _respond(self, body: bytes, flags: int) -> None:
        head = RESPONSE.pack(self._status, flags, len(self._headers))
        self._channel.send(Kind.RESPONSE, self._call, head + self._headers + body)

    def _flush(self) -> None:
        """Turns the held response into a stream, unless it is complete by now."""
        if self._state == HOLDING:
            self._state = STREAMING
            # What is held fits into the window, of which nothing is used yet.
            self._respond(b"", STREAMED)
            held, self._held = b"".join(self._held), []
            for at in range(0, len(held), PIECE):
                piece = held[at : at + PIECE]
                self._window -= len(piece)
                self._channel.send(Kind.BODY, self._call, piece)

    async def _stream(self, body: bytes, more: bool) -> None:
        for at in range(0, len(body), PIECE):
            piece = body[at : at + PIECE]
            while self._window <= 0 and not self._gone:
                await self._changed()
            if self._gone:
                break
            self._window -= len(piece)
            self._channel.send(Kind.BODY, self._call, piece)
        if self._gone:
            if self._listening:
                return  # whoever listens for the disconnect ends the response as it likes
            raise ClientDisconnected
        if not more:
            self._state = COMPLETE
            self._channel.send(Kind.BODY_END, self._call)

    # The end.

    def _fail(self, error: BaseException) -> None:
        if self._gone:
            return  # the client left; what the application says about it is of no interest
        if self._state in (EXPECT_START, EXPECT_BODY, HOLDING):
            self._state = COMPLETE
            self._channel.send_json(Kind.FAILED, failure("raised", error), self._call)
            return
        logger.error(RAISED_LATE, exc_info=error)
        if self._state != COMPLETE:
            self._state = COMPLETE
            self._channel.send(Kind.BODY_BROKEN, self._call)

    def _incomplete(self) -> None:
        streaming = self._state == STREAMING
        self._state = COMPLETE
        if streaming and not self._gone:
            self._channel.send(Kind.BODY_BROKEN, self._call)
        elif not self._gone:
            entry = {"reason": "protocol", "message": INCOMPLETE, "traceback": ""}
            self._channel.send_json(Kind.FAILED, entry, self._call)


def failure(reason: str, error: BaseException) -> dict[str, str]:
    """An exception of the agent as data for the host. Never raises."""
    try:
        message = str(error)
    except BaseException:
        message = type(error).__name__
    return {"reason": reason, "message": message, "traceback": format_traceback(error)}


def start(loop: asyncio.AbstractEventLoop) -> Callable[[Any], asyncio.Task[None]]:
    """How a call is begun on this loop: at once, where the version of Python can do that."""
    factory = getattr(asyncio, "eager_task_factory", None)  # from Python 3.12 on
    if factory is None:
        return loop.create_task
    return lambda coroutine: asyncio.Task(coroutine, loop=loop, eager_start=True)
