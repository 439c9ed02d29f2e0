"""One HTTP request served by an ASGI application.

The hot path of PAR: a request whose application never waits is one eager task, no turn of
the loop and no stream. A response is held back until the application has nothing more to do
at the moment; if it is complete by then it travels as one message, and only otherwise
becomes a stream.
"""

from __future__ import annotations

import asyncio
from typing import Any

import wit_world
from componentize_py_types import Err, Ok
from wit_world.exports.http import (
    Body_Complete,
    Body_Empty,
    Body_Streamed,
    Response,
)
from wit_world.imports import calls

from par_guest.bodies import BodyReader, BodyWriter
from par_guest.context import current_call, current_response
from par_guest.failures import failure_of, protocol_failure, report
from par_guest.loop import Call, loop, start_task
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

# More than this is not held back in the hope that the response is complete soon.
HELD_BYTES = 64 * 1024


class HttpCall(Call):
    """The call of one request."""

    __slots__ = (
        "_app",
        "_ended",
        "_headers",
        "_held",
        "_held_bytes",
        "_id",
        "_reader",
        "_request_body",
        "_scope",
        "_state",
        "_status",
        "_writer",
    )

    def __init__(self, app: Any, request: Any, state: dict[str, Any] | None) -> None:
        self.result = None
        self._token = 0
        self._app = app
        self._id = request.id
        self._scope = scope_of(request.head, state)
        body = request.body
        self._reader: BodyReader | None = None
        self._request_body: bytes | None = b""
        kind = type(body)
        if kind is Body_Complete:
            self._request_body = body.value
        elif kind is Body_Streamed:
            self._request_body = None
            self._reader = BodyReader(body.value)
        self._state = EXPECT_START
        self._writer: BodyWriter | None = None
        self._ended: asyncio.Future[None] | None = None

    def begin(self) -> None:
        start_task(self._run())

    async def _run(self) -> None:
        current_call.set(self._id)
        current_response.set(self)
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as error:
            self._fail(error)
        else:
            if self._state != COMPLETE:
                self._incomplete()
        if self._reader is not None:
            self._reader.close()
        if self._writer is not None:
            await self._writer.drained()
            self._writer.close()

    def _fail(self, error: BaseException) -> None:
        if self._writer is not None and self._writer.gone:
            return  # the client left; what the application says about it is of no interest
        if self.result is None:
            self._state = COMPLETE
            self.answer(Err(failure_of(error)))
            return
        report(error, RAISED_LATE)
        if self._state != COMPLETE:
            calls.broken(self._id)

    def _incomplete(self) -> None:
        if self.result is None:
            self._state = COMPLETE
            self.answer(Err(protocol_failure(INCOMPLETE)))
        elif self._writer is None or not self._writer.gone:
            calls.broken(self._id)

    async def _receive(self) -> dict[str, Any]:
        body = self._request_body
        if body is not None:
            self._request_body = None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._reader is not None and not self._reader.gone:
            chunk = await self._reader.read()
            if self._reader.gone and not calls.is_complete(self._id):
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": not self._reader.gone}
        if self._ended is None:
            self._ended = asyncio.ensure_future(calls.ended(self._id))
        await asyncio.shield(self._ended)
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        state = self._state
        if kind == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if state == EXPECT_BODY:
                if more:
                    self._held = [body]
                    self._held_bytes = len(body)
                    self._state = HOLDING
                    loop.hold(self._flush)
                else:
                    self._complete(body)
                return
            if state == HOLDING:
                self._held.append(body)
                self._held_bytes += len(body)
                if not more:
                    self._complete(b"".join(self._held))
                    return
                if self._held_bytes < HELD_BYTES:
                    return
                self._flush()
                body = b""
            elif state != STREAMING:
                misplaced(kind)
            await self._stream(body, more)
        elif kind == "http.response.start":
            if state != EXPECT_START:
                misplaced(kind)
            self._status, self._headers = head_of(message)
            self._state = EXPECT_BODY
        elif not kind.startswith("http.response."):
            misplaced(kind)

    def _complete(self, body: bytes) -> None:
        self._state = COMPLETE
        self.answer(Ok(self._response(Body_Complete(bytes(body)) if body else Body_Empty())))

    def _response(self, body: Any) -> Response:
        return Response(self._status, self._headers, body)

    def _flush(self) -> None:
        """Turns the held response into a stream, unless it is complete by now."""
        if self._state != HOLDING:
            return
        self._state = STREAMING
        writer, reader = wit_world.byte_stream()
        self._writer = BodyWriter(writer)
        self.answer(Ok(self._response(Body_Streamed(reader))))
        self._writer.start(b"".join(self._held))
        self._held.clear()

    def is_held(self) -> bool:
        """Whether something the application sent is not with the host yet."""
        if self._state == HOLDING:
            return True
        return self._writer is not None and self._writer.busy

    async def left(self) -> None:
        """Returns when all the application sent is with the host, or nobody wants it.

        The host can only take a body whose head it has, so the head has left as well.
        """
        self._flush()
        if self._writer is not None:
            await self._writer.drained()

    async def _stream(self, body: bytes, more: bool) -> None:
        writer = self._writer
        if body:
            await writer.write(body)
        else:
            await writer.drained()
        if writer.gone:
            if self._ended is not None:
                return  # whoever listens for the disconnect ends the response as it likes
            raise ClientDisconnected
        if not more:
            self._state = COMPLETE
            writer.close()


async def background_work() -> None:
    """Returns when no application has anything left to do for a request it has answered."""
    serving = HttpCall._run.__code__
    tasks = [
        task
        for task in asyncio.all_tasks(loop)
        if getattr(task.get_coro(), "cr_code", None) is serving
    ]
    if tasks:
        await asyncio.wait(tasks)
