"""What a request and its response are to an ASGI application, whoever brings them.

Shared by the call in the sandbox and the one in a process of the host.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

# As uvicorn: an application that streams listens for the disconnect itself.
ASGI_VERSION = {"version": "3.0", "spec_version": "2.3"}

# Values of a request head before its headers.
HEAD_VALUES = 11

# What the response has come to.
EXPECT_START = 0
EXPECT_BODY = 1
HOLDING = 2
STREAMING = 3
COMPLETE = 4

INCOMPLETE = "the application returned without a complete response"
RAISED_LATE = "the application raised after its response had started"


class ClientDisconnected(OSError):
    """Raised by `send` when nobody receives the response any more."""

    def __init__(self) -> None:
        super().__init__("the client closed the connection")


def scope_of(head: bytes, state: dict[str, Any] | None) -> dict[str, Any]:
    """The ASGI scope of a request; the order of the head is that of `wit/http.wit`.

    `state` is what the lifespan left for requests, of which each gets a copy.
    """
    values = head.split(b"\0")
    (
        method,
        http_version,
        scheme,
        path,
        raw_path,
        query_string,
        root_path,
        client,
        client_port,
        server,
        server_port,
    ) = values[:HEAD_VALUES]
    scope = {
        "type": "http",
        "asgi": ASGI_VERSION,
        "http_version": http_version.decode(),
        "method": method.decode(),
        "scheme": scheme.decode(),
        "path": path.decode(),
        "raw_path": raw_path,
        "query_string": query_string,
        "root_path": root_path.decode(),
        "headers": list(zip(values[HEAD_VALUES::2], values[HEAD_VALUES + 1 :: 2], strict=True)),
        "client": (client.decode(), int(client_port)) if client else None,
        "server": (server.decode(), int(server_port)),
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def head_of(message: dict[str, Any]) -> tuple[int, bytes]:
    """Status and headers of `http.response.start`, as the host takes them.

    Raises for what is neither.
    """
    status = int(message["status"])  # an `HTTPStatus`, from most frameworks
    if not 100 <= status <= 999:
        raise ValueError(f"`{status}` is not an HTTP status")
    headers: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
    return status, b"\0".join([part for name, value in headers for part in (name, value)])


def misplaced(kind: str) -> NoReturn:
    """Refuses a message of the application that does not fit what its response has come to."""
    raise RuntimeError(f"unexpected ASGI message `{kind}` in this state of the response")
