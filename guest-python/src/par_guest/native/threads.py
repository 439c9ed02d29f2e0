"""Serves a WSGI application in threads, as the servers it was written for do.

The sandbox has one thread; here a request that blocks costs a thread, and others go on.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from par_guest import wsgi

#: How many requests are computed at a time; more wait.
THREADS = 40

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wsgi")


def as_asgi(app: wsgi.WsgiApp) -> Callable[..., Awaitable[None]]:
    """An ASGI 3 application that calls the WSGI application `app` in a thread."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            # Lifespan and WebSocket do not exist in WSGI; this is how ASGI says so.
            raise NotImplementedError(f"a WSGI application does not serve `{scope['type']}`")
        body = await wsgi.whole_body(receive)
        if body is None:
            return
        environ = wsgi.environ(scope, body) | {"wsgi.multithread": True}
        loop = asyncio.get_running_loop()

        def tell(message: dict[str, Any]) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        context = contextvars.copy_context()
        await loop.run_in_executor(_threads, context.run, _Answer(tell).run, app, environ)

    return serve


class _Answer:
    """One call of the application, from within its thread."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._head: dict[str, Any] | None = None
        self._sent = False
        self._written: list[bytes] = []
        #: What is left of the length the application announced, if it did.
        self._left: int | None = None

    def run(self, app: wsgi.WsgiApp, environ: dict[str, Any]) -> None:
        pieces = app(environ, self._start)
        try:
            if isinstance(pieces, (list, tuple)):
                self._send(b"".join(pieces), more=False)
                return
            complete = False
            for piece in pieces:
                data = b"".join(self._written) + piece
                # The head waits for the first byte, as PEP 3333 asks.
                if complete or not data:
                    continue
                self._written.clear()
                complete = self._is_last(data)
                self._send(data, more=not complete)
            if not complete:
                self._send(b"", more=False)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise AssertionError("`start_response` was called twice")
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        length = dict(raw).get(b"content-length", b"")
        self._left = int(length) if length.isdigit() else None
        code = int(status.partition(" ")[0])
        self._head = {"type": "http.response.start", "status": code, "headers": raw}
        return self._written.append

    def _is_last(self, data: bytes) -> bool:
        if self._left is None:
            return False
        self._left -= len(data)
        return self._left <= 0

    def _send(self, data: bytes, *, more: bool) -> None:
        if self._head is None:
            raise RuntimeError("the application did not call `start_response`")
        if not self._sent:
            self._sent = True
            self._tell(self._head)
        body = b"".join(self._written) + data
        self._written.clear()
        self._tell({"type": "http.response.body", "body": body, "more_body": more})
