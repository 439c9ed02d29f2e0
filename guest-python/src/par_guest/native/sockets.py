"""Sockets of a process that has none: each is asked of the host over one inherited socket.

What is connected is one end of a pair, and the host reads at the other: a socket in every respect
but its address. Names are not looked up here; the host does that, once a rule has granted what is
said. When it ends a connection it says why over a second pair, and the next read raises that, so
that clients fail as they do in the sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import select
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import Any

from par_guest.context import current_call
from par_guest.outbound import names
from par_guest.outbound.callers import packages
from par_guest.outbound.failures import exception_of, refused
from par_guest.replacing import replace_everywhere

_INTERNET = (socket.AF_INET, socket.AF_INET6)

#: How long the host may take to answer; it does so at once. Unit: seconds.
_PATIENCE = 30.0

_MESSAGE_BYTES = 4096

_ONLY_HTTP = (
    "a native agent has no sockets of its own, so {what}; PAR carries HTTP requests to granted "
    "hosts, made with any HTTP client"
)

_Socket = socket.socket
_init, _send, _recv, _family = _Socket.__init__, _Socket.send, _Socket.recv, _Socket.family
_request = http.client.HTTPConnection.request
_wrap_socket = ssl.SSLContext.wrap_socket


class _Link:
    """What is known about a socket that stands for one of TCP."""

    __slots__ = ("_control", "_said", "family", "peer")

    def __init__(self, family: int) -> None:
        self.family = family
        self.peer: tuple[str, int] | None = None
        self._control: socket.socket | None = None
        self._said: tuple[int | None, list[str]] | None = None

    def open(self, outbound: int, host: str, port: int) -> int:
        """Asks the host for a connection; the descriptor of it."""
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            wanted = {"host": host, "port": port, "call": current_call.get()}
            with socket.socket(fileno=os.dup(outbound)) as asking:
                socket.send_fds(asking, [json.dumps(wanted).encode()], [theirs.fileno()])
        own.settimeout(_PATIENCE)
        message, descriptors, _, _ = socket.recv_fds(own, _MESSAGE_BYTES, 1)
        own.setblocking(False)
        if not descriptors:
            own.close()
            raise _told(message) or OSError(errno.ECONNABORTED, "PAR gave no connection")
        self._control = own
        self.peer = (host, port)
        return descriptors[0]

    def say(self) -> None:
        """Tells the host for whom something is about to be sent, unless it knows."""
        said = (current_call.get(), packages())
        if self._control is not None and said != self._said:
            self._said = said
            message = json.dumps({"call": said[0], "packages": said[1]}).encode()
            # When it cannot be said, the end of the connection says more.
            with contextlib.suppress(OSError):
                _send(self._control, message)

    def wait(self, own: socket.socket) -> None:
        """Waits for the first byte of an answer, or raises why there is none.

        Where the end of a request is known, a denial is raised there, as by a connection that
        fails.
        """
        seconds = own.gettimeout()
        if self._control is None or seconds == 0:
            return
        waiting = select.poll()
        for each in (own, self._control):
            waiting.register(each.fileno(), select.POLLIN)
        if not waiting.poll(None if seconds is None else seconds * 1000):
            raise TimeoutError("timed out")
        if reason := self.reason():
            raise reason

    def reason(self) -> OSError | None:
        """Why the host ended the connection, where it was the host."""
        if self._control is None:
            return None
        # What the host had not read when it left is an error first, and then comes what it said.
        for _ in range(2):
            try:
                return _told(_recv(self._control, _MESSAGE_BYTES))
            except ConnectionResetError:
                continue
            except OSError:
                break
        return None


def _told(message: bytes) -> OSError | None:
    if not message:
        return None
    told = json.loads(message)
    return exception_of(told["reason"], told["code"], told["message"]) if told else None


_links: weakref.WeakKeyDictionary[socket.socket, _Link] = weakref.WeakKeyDictionary()
_outbound = -1


#: What takes the place of methods: the class, the name, the function.
_replacements: list[tuple[type, str, Callable[..., Any]]] = []


def _in_place_of(kind: type, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Has a function in the place of methods, for sockets that stand for one of TCP.

    It gets what is known about the socket and the method, and then what the method would get.
    """

    def replace(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _replacements.append((kind, name, _where_linked(function, getattr(kind, name))))
        return function

    return replace


def _where_linked(function: Callable[..., Any], original: Callable[..., Any]) -> Any:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        link = _links.get(self)
        if link is None:
            return original(self, *arguments, **named)
        return function(link, original, self, *arguments, **named)

    return method


def _opened(
    self: socket.socket,
    family: int = -1,
    type: int = -1,  # noqa: A002  # as the standard library has it
    proto: int = -1,
    fileno: int | None = None,
) -> None:
    if fileno is not None or family not in (*_INTERNET, -1):
        _init(self, family, type, proto, fileno)
        return
    kind = socket.SOCK_STREAM if type == -1 else type & 0xF
    if kind != socket.SOCK_STREAM:
        raise refused(_ONLY_HTTP.format(what="only TCP can be opened"))
    ours, theirs = _pair()
    os.close(theirs)
    _init(self, socket.AF_UNIX, socket.SOCK_STREAM, 0, ours)
    timeout = socket.getdefaulttimeout()
    self.settimeout(timeout)
    _links[self] = _Link(socket.AF_INET if family == -1 else family)


def _pair() -> tuple[int, int]:
    import _socket

    ours, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return ours.detach(), theirs.detach()


@_in_place_of(_Socket, "connect")
def _connect(link: _Link, _: Any, self: socket.socket, address: Any) -> None:
    if link.peer is not None:
        raise OSError(errno.EISCONN, "the socket is connected already")
    host, port = _address_of(address)
    opened = link.open(_outbound, host, port)
    os.dup2(opened, self.fileno(), inheritable=False)
    os.close(opened)
    # The new descriptor is as the host made it.
    self.settimeout(self.gettimeout())


@_in_place_of(_Socket, "connect_ex")
def _connect_ex(_link: _Link, _: Any, self: socket.socket, address: Any) -> int:
    try:
        self.connect(address)
    except OSError as error:
        return error.errno or errno.ECONNREFUSED
    return 0


def _address_of(address: Any) -> tuple[str, int]:
    if not isinstance(address, tuple) or len(address) < 2 or not address[0]:
        raise refused(_ONLY_HTTP.format(what=f"`{address}` was not connected"))
    host = address[0]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "backslashreplace")
    return host, int(address[1])


@_in_place_of(_Socket, "bind")
def _bind(_link: _Link, _: Any, _self: socket.socket, address: Any) -> None:
    # Clients bind to "any address" before they connect.
    if address[0] not in ("", "0.0.0.0", "::") or address[1] != 0:  # noqa: S104
        raise refused(_ONLY_HTTP.format(what=f"`{address}` was not bound"))


@_in_place_of(_Socket, "listen")
def _listen(*_: Any) -> None:
    raise refused(_ONLY_HTTP.format(what="nothing can listen; PAR serves the agent"))


@_in_place_of(_Socket, "getpeername")
def _getpeername(link: _Link, *_: Any) -> Any:
    if link.peer is None:
        raise OSError(errno.ENOTCONN, "the socket is not connected")
    return link.peer


@_in_place_of(_Socket, "getsockname")
def _getsockname(*_: Any) -> Any:
    return "0.0.0.0", 0  # noqa: S104  # what an unbound socket says


@_in_place_of(_Socket, "setsockopt")
def _setsockopt(_: _Link, original: Any, self: socket.socket, level: int, *arguments: Any) -> None:
    """Of TCP and IP nothing can be set: that connection is the host's."""
    if level == socket.SOL_SOCKET:
        original(self, level, *arguments)


@_in_place_of(_Socket, "getsockopt")
def _getsockopt(
    _: _Link, original: Any, self: socket.socket, level: int, name: int, length: int = 0
) -> Any:
    if level == socket.SOL_SOCKET:
        return original(self, level, name, *([length] if length else []))
    return bytes(length) if length else 0


def _family_of(self: socket.socket) -> Any:
    link = _links.get(self)
    return _family.fget(self) if link is None else socket.AddressFamily(link.family)


# -- What is sent and read. TLS is made over a socket by some clients, which read and write it here
# too; others make it over buffers, and read what `recv_into` reads.


def _explained(
    link: _Link,
    errors: tuple[type[OSError], ...],
    function: Callable[..., Any],
    *arguments: Any,
    **named: Any,
) -> Any:
    """What `function` returns. Where the host ended the connection, its reason is the error."""
    try:
        return function(*arguments, **named)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise
    except errors as error:
        raise link.reason() or error from None


@_in_place_of(_Socket, "send", "sendall", "sendmsg")
@_in_place_of(ssl.SSLSocket, "send", "write")
def _sends(link: _Link, original: Any, *arguments: Any, **named: Any) -> Any:
    link.say()
    broken = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
    return _explained(link, broken, original, *arguments, **named)


@_in_place_of(_Socket, "recv", "recv_into")
@_in_place_of(ssl.SSLSocket, "read")
def _receives(link: _Link, original: Any, *arguments: Any, **named: Any) -> Any:
    ended = (ConnectionError, ssl.SSLError)
    received = _explained(link, ended, original, *arguments, **named)
    if not received and (reason := link.reason()):
        raise reason
    return received


def _wrapped(self: ssl.SSLContext, sock: Any, *arguments: Any, **named: Any) -> ssl.SSLSocket:
    link = _links.get(sock)
    if link is None:
        return _wrap_socket(self, sock, *arguments, **named)
    link.say()
    wrapped = _explained(link, (OSError,), _wrap_socket, self, sock, *arguments, **named)
    _links[wrapped] = link
    return wrapped


def _requested(self: http.client.HTTPConnection, *arguments: Any, **named: Any) -> None:
    _request(self, *arguments, **named)
    link = _links.get(self.sock)
    if link is not None:
        link.wait(self.sock)


def apply(outbound: int) -> None:
    """Has sockets asked for over `outbound`, a descriptor that was inherited."""
    global _outbound
    _outbound = outbound
    _Socket.__init__ = _opened  # type: ignore[method-assign]
    _Socket.family = property(_family_of)  # type: ignore[method-assign,assignment]
    http.client.HTTPConnection.request = _requested  # type: ignore[method-assign]
    ssl.SSLContext.wrap_socket = _wrapped  # type: ignore[method-assign]
    for kind, name, function in _replacements:
        setattr(kind, name, function)
    replace_everywhere(names.apply())
