"""One request carried by the host: `wit/outbound.wit` as Python objects."""

from __future__ import annotations

import itertools
from typing import Any

from componentize_py_types import Err
from wit_world.imports import outbound as world

from par_guest.context import current_call
from par_guest.outbound.callers import packages
from par_guest.outbound.failures import exception_of, refused
from par_guest.outbound.wire import Head, NotHTTPError, RequestReader, ResponseWriter

#: A declared body up to this size travels with its head, in one piece. Unit: bytes.
HELD_BYTES = 64 * 1024

_numbers = itertools.count(1)

_PROXY = (
    "the request is for a proxy; PAR opens the connections itself, "
    "so unset `HTTP_PROXY` and `HTTPS_PROXY`"
)


class Peer:
    """Who a client connected to."""

    __slots__ = ("host", "port", "secure")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        #: Set when the client starts TLS.
        self.secure = False

    def url(self, head: Head) -> bytes:
        """The absolute URL a request on this connection is for."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        scheme, usual = ("https", 443) if self.secure else ("http", 80)
        port = "" if self.port == usual else f":{self.port}"
        own = f"{name}{port}".lower().encode()
        named = None if head.host is None else head.host.lower()
        # With or without the scheme's own port, it is the same.
        if named not in (None, own, own + b":%d" % usual):
            raise NotHTTPError(
                f"the `host` header names `{_shown(head.host)}`, and the connection is to "
                f"`{own.decode()}`; connect to the host the request is for"
            )
        target = head.target
        if not target.startswith(b"/"):
            if target != b"*":
                raise NotHTTPError(_PROXY)
            target = b"/"
        return b"%s://%b%b" % (scheme.encode(), own, target)


def _shown(text: bytes | None) -> str:
    return (text or b"").decode("ascii", "backslashreplace")


class Connection:
    """What a client thinks is a connection: requests go in, bytes of responses come out.

    Whoever owns it decides how to wait: `sockets` with the functions that block, `transport`
    on the event loop. `request_began` and `request_ended` tell it when to.
    """

    __slots__ = (
        "_body",
        "_head",
        "_reader",
        "closing",
        "incoming",
        "number",
        "outgoing",
        "peer",
        "streams",
        "writer",
    )

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._reader = RequestReader(self._on_head, self._on_body, self._on_end)
        self._head: Head | None = None
        self._body: list[bytes] = []
        #: The exchange of the request that is being written or answered; 0 without one.
        self.number = 0
        #: Whether the body of the request travels in pieces.
        self.streams = False
        #: Pieces of the body that were not pushed yet.
        self.outgoing: list[bytes] = []
        #: The request is complete: its response can be waited for.
        self.incoming = False
        #: The client asked for no further request on this connection.
        self.closing = False
        self.writer: ResponseWriter | None = None

    def feed(self, data: Any) -> None:
        """Takes what the client wrote; raises the refusal of what is not HTTP."""
        try:
            self._reader.feed(data)
        except NotHTTPError as error:
            self.abandon()
            raise refused(_explained(str(error))) from None

    @property
    def idle(self) -> bool:
        """Whether no request is under way, complete or not."""
        return self.number == 0 and not self.incoming and self._reader.between_requests

    def take_expectation(self) -> bool:
        """Whether the client waits for `100 Continue` before it writes the body. Says so once."""
        head = self._head
        if head is None or not head.continues:
            return False
        head.continues = False
        return True

    def _on_head(self, head: Head) -> None:
        if self.number or self.incoming:
            raise NotHTTPError("a request was written before the response to the last one was read")
        self.peer.url(head)
        self._head = head
        self.writer = ResponseWriter(head)
        self.closing = head.close
        self.streams = head.chunked or (head.length or 0) > HELD_BYTES
        if self.streams:
            self._start(world.Body_Pushed(head.length))

    def _on_body(self, piece: bytes) -> None:
        if not self.streams:
            self._body.append(piece)
        elif self.number:  # else the response came first, and nobody wants the rest
            self.outgoing.append(piece)

    def _on_end(self) -> None:
        if not self.streams:
            self._start(world.Body_Complete(b"".join(self._body)))
        self._body.clear()
        self._head = None
        self.incoming = self.number != 0

    def _start(self, body: Any) -> None:
        head = self._head
        assert head is not None  # noqa: S101  # what `_on_head` has set
        values = [head.method, self.peer.url(head)]
        for header in head.headers:
            values += header
        self.number = next(_numbers)
        callers = "\0".join(packages()).encode()
        request = world.Request(current_call.get(), b"\0".join(values), body, callers)
        world.start(self.number, request)

    def answered(self, response: Any) -> bytes:
        """The first bytes of the response; all of them when its body has come."""
        assert self.writer is not None  # noqa: S101  # a response follows a request
        values = response.headers.split(b"\0") if response.headers else []
        headers = zip(values[::2], values[1::2], strict=True)
        written = self.writer.head(response.status, headers, response.body)
        if response.body is not None:
            self.done()
        return written

    def pulled(self, chunk: bytes) -> bytes:
        """More bytes of the response; after an empty chunk it is complete."""
        assert self.writer is not None  # noqa: S101
        written = self.writer.body(chunk)
        if not chunk:
            self.done()
        return written

    def done(self) -> None:
        """The exchange has ended by itself."""
        self.number = 0
        self.incoming = False
        self.outgoing.clear()

    def abandon(self) -> None:
        """Ends the exchange, if there is one."""
        number = self.number
        self.done()
        if number:
            world.abandon(number)


def failure_of(error: Err[Any]) -> OSError:
    """The exception for an error of the host."""
    value = error.value
    reason = value.reason.name.lower().replace("_", "-")
    return exception_of(reason, value.code, value.message)


def _explained(message: str) -> str:
    return (
        f"{message}; PAR carries HTTP requests of the agent and no other protocol, "
        "so use an HTTP API of the service"
        if message == "what was sent is not HTTP"
        else message
    )
