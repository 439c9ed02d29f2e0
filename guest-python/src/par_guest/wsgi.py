"""Serves a WSGI application (PEP 3333) as an ASGI one.

WSGI is synchronous, so the whole request body is read before the application is called.
The response is sent piece by piece, as the application produces it.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from time import monotonic
from typing import Any

from par_guest.fairness import step_aside

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ExcInfo = tuple[type[BaseException], BaseException, Any]

errors_log = logging.getLogger("wsgi.errors")


def as_asgi(app: WsgiApp) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI 3 application that calls the WSGI application `app`."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Lifespan and WebSocket do not exist in WSGI; this is how ASGI says so.
            raise NotImplementedError(f"a WSGI application does not serve `{scope['type']}`")
        body = await whole_body(receive)
        if body is not None:
            await _Exchange(app, environ(scope, body), receive, send).run()

    return serve


def environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """The WSGI environment of the ASGI request `scope` with its complete body."""
    root_path: str = scope.get("root_path", "")
    path: str = scope["path"]
    if root_path and (path == root_path or path.startswith(root_path + "/")):
        path = path[len(root_path) :]
    server = scope.get("server") or ("localhost", 80)
    result: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _native(root_path),
        "PATH_INFO": _native(path),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": _ErrorStream(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        # The body is complete, so reading to its end never blocks (as Gunicorn says it).
        "wsgi.input_terminated": True,
    }
    client = scope.get("client")
    if client:
        result["REMOTE_ADDR"] = client[0]
        result["REMOTE_PORT"] = str(client[1])
    for raw_name, raw_value in scope["headers"]:
        _add_header(result, raw_name.decode("latin-1"), raw_value.decode("latin-1"))
    if body:
        # A chunked request has no length; now that its body is here, it has one.
        result["CONTENT_LENGTH"] = str(len(body))
    return result


def _add_header(result: dict[str, Any], name: str, value: str) -> None:
    if "_" in name:
        return  # `x_forwarded_for` would pass for `x-forwarded-for`
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if key == "HTTP_PROXY":
        return  # read as a proxy setting by code that takes the environment for CGI's
    if key in result:
        separator = "; " if key == "HTTP_COOKIE" else ","
        value = f"{result[key]}{separator}{value}"
    result[key] = value


def _native(text: str) -> str:
    """Text as PEP 3333 wants it: the bytes of its UTF-8, each as one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


async def whole_body(receive: Receive) -> bytes | None:
    """The request body; `None` when the client left before it was complete."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        return message.get("body", b"")
    pieces = []
    while message["type"] == "http.request":
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()
    return None


class _ErrorStream(io.TextIOBase):
    """`wsgi.errors`: each line becomes a log record."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line:
                errors_log.error("%s", line)
        return len(text)


class _Exchange:
    """One call of the application: its `start_response`, its `write` and its iterable."""

    def __init__(
        self, app: WsgiApp, environment: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._environment = environment
        self._receive = receive
        self._send = send
        self._head: Message | None = None
        self._head_sent = False
        self._written: list[bytes] = []
        #: What is left of the length the application announced, if it did.
        self._left: int | None = None

    async def run(self) -> None:
        pieces = self._app(self._environment, self._start_response)
        try:
            if isinstance(pieces, (list, tuple)):
                await self._send_all(b"".join(pieces))
            else:
                await self._send_pieces(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            if self._head_sent:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self._head is not None:
            raise RuntimeError("the application called `start_response` twice")
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        self._left = int(lengths[0]) if lengths else None
        self._head = {
            "type": "http.response.start",
            "status": int(status.split(" ", 1)[0]),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ],
        }
        return self._written.append

    async def _send_all(self, body: bytes) -> None:
        await self._send_head()
        await self._send_body(self._take_written() + body, more=False)

    async def _send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Sends each piece when it is there; stops asking for more when the client left."""
        client_left: asyncio.Future[Message] | None = None
        complete = False
        started = monotonic()
        try:
            for piece in pieces:
                data = self._take_written() + piece
                if complete or not data:
                    continue  # the head waits for the first byte, as PEP 3333 asks
                # Frameworks wrap small answers in iterators too; the announced length tells
                # that one is complete, and saves it from being streamed.
                complete = self._is_last(data)
                await self._send_head()
                await self._send_body(data, more=not complete)
                if complete:
                    continue
                if client_left is None:
                    client_left = asyncio.ensure_future(_disconnect(self._receive))
                await step_aside(monotonic() - started)
                if client_left.done():
                    return
                started = monotonic()
            if not complete:
                await self._send_head()
                await self._send_body(self._take_written(), more=False)
        finally:
            if client_left is not None:
                client_left.cancel()
                with suppress(asyncio.CancelledError):
                    await client_left

    def _is_last(self, data: bytes) -> bool:
        if self._left is None:
            return False
        self._left -= len(data)
        return self._left <= 0

    def _take_written(self) -> bytes:
        written = b"".join(self._written)
        self._written.clear()
        return written

    async def _send_head(self) -> None:
        if self._head_sent:
            return
        if self._head is None:
            raise RuntimeError("the application did not call `start_response`")
        self._head_sent = True
        await self._send(self._head)

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
