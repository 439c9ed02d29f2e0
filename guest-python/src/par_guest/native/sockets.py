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
_plain = {
    name: getattr(_Socket, name)
    for name in (
        "__init__",
        "bind",
        "close",
        "connect",
        "connect_ex",
        "detach",
        "family",
        "getpeername",
        "getsockname",
        "getsockopt",
        "listen",
        "recv",
        "recv_into",
        "send",
        "sendall",
        "sendmsg",
        "setsockopt",
        "type",
    )
}
_secure = {
    "read": ssl.SSLSocket.read,
    "send": ssl.SSLSocket.send,
    "write": ssl.SSLSocket.write,
    "wrap_socket": ssl.SSLContext.wrap_socket,
}


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
                _plain["send"](self._control, message)

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
                return _told(_plain["recv"](self._control, _MESSAGE_BYTES))
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


def _init(
    self: socket.socket,
    family: int = -1,
    type: int = -1,  # noqa: A002  # as the standard library has it
    proto: int = -1,
    fileno: int | None = None,
) -> None:
    if fileno is not None or family not in (*_INTERNET, -1):
        _plain["__init__"](self, family, type, proto, fileno)
        return
    kind = socket.SOCK_STREAM if type == -1 else type & 0xF
    if kind != socket.SOCK_STREAM:
        raise refused(_ONLY_HTTP.format(what="only TCP can be opened"))
    ours, theirs = _pair()
    os.close(theirs)
    _plain["__init__"](self, socket.AF_UNIX, socket.SOCK_STREAM, 0, ours)
    timeout = socket.getdefaulttimeout()
    self.settimeout(timeout)
    _links[self] = _Link(socket.AF_INET if family == -1 else family)


def _pair() -> tuple[int, int]:
    import _socket

    ours, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return ours.detach(), theirs.detach()


def _connect(self: socket.socket, address: Any, /) -> None:
    link = _links.get(self)
    if link is None:
        _plain["connect"](self, address)
        return
    if link.peer is not None:
        raise OSError(errno.EISCONN, "the socket is connected already")
    host, port = _address_of(address)
    opened = link.open(_outbound, host, port)
    os.dup2(opened, self.fileno(), inheritable=False)
    os.close(opened)
    # The new descriptor is as the host made it.
    self.settimeout(self.gettimeout())


def _connect_ex(self: socket.socket, address: Any, /) -> int:
    if self not in _links:
        return _plain["connect_ex"](self, address)
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


def _sending(name: str) -> Any:
    original = _plain[name]

    def sends(self: socket.socket, *arguments: Any) -> Any:
        link = _links.get(self)
        if link is None:
            return original(self, *arguments)
        link.say()
        try:
            return original(self, *arguments)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise link.reason() or error from None

    return sends


def _receiving(name: str) -> Any:
    original = _plain[name]

    def receives(self: socket.socket, *arguments: Any) -> Any:
        link = _links.get(self)
        if link is None:
            return original(self, *arguments)
        try:
            received = original(self, *arguments)
        except ConnectionResetError as error:
            raise link.reason() or error from None
        if not received and (reason := link.reason()):
            raise reason
        return received

    return receives


def _bind(self: socket.socket, address: Any, /) -> None:
    if self not in _links:
        _plain["bind"](self, address)
    # Clients bind to "any address" before they connect.
    elif address[0] not in ("", "0.0.0.0", "::") or address[1] != 0:  # noqa: S104
        raise refused(_ONLY_HTTP.format(what=f"`{address}` was not bound"))


def _listen(self: socket.socket, *arguments: Any) -> None:
    if self in _links:
        raise refused(_ONLY_HTTP.format(what="nothing can listen; PAR serves the agent"))
    _plain["listen"](self, *arguments)


def _getpeername(self: socket.socket) -> Any:
    link = _links.get(self)
    if link is None:
        return _plain["getpeername"](self)
    if link.peer is None:
        raise OSError(errno.ENOTCONN, "the socket is not connected")
    return link.peer


def _getsockname(self: socket.socket) -> Any:
    unbound = ("0.0.0.0", 0)  # noqa: S104  # what an unbound socket says
    return unbound if self in _links else _plain["getsockname"](self)


def _setsockopt(self: socket.socket, level: int, *arguments: Any) -> None:
    """Of TCP and IP nothing can be set: that connection is the host's."""
    if self not in _links or level == socket.SOL_SOCKET:
        _plain["setsockopt"](self, level, *arguments)


def _getsockopt(self: socket.socket, level: int, name: int, length: int = 0, /) -> Any:
    if self not in _links or level == socket.SOL_SOCKET:
        return _plain["getsockopt"](self, level, name, *([length] if length else []))
    return bytes(length) if length else 0


def _family(self: socket.socket) -> Any:
    link = _links.get(self)
    return _plain["family"].fget(self) if link is None else socket.AddressFamily(link.family)


# -- TLS, where the client makes it over a socket; over buffers it reads what `recv_into` reads.


def _wrap_socket(self: ssl.SSLContext, sock: Any, *arguments: Any, **named: Any) -> ssl.SSLSocket:
    link = _links.get(sock)
    if link is None:
        return _secure["wrap_socket"](self, sock, *arguments, **named)
    link.say()
    try:
        wrapped = _secure["wrap_socket"](self, sock, *arguments, **named)
    except OSError as error:
        raise link.reason() or error from None
    _links[wrapped] = link
    return wrapped


def _read(self: ssl.SSLSocket, *arguments: Any, **named: Any) -> Any:
    link = _links.get(self)
    if link is None:
        return _secure["read"](self, *arguments, **named)
    try:
        received = _secure["read"](self, *arguments, **named)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise
    except (ssl.SSLError, ConnectionError) as error:
        raise link.reason() or error from None
    if not received and (reason := link.reason()):
        raise reason
    return received


def _writing(name: str) -> Any:
    original = _secure[name]

    def writes(self: ssl.SSLSocket, *arguments: Any) -> int:
        link = _links.get(self)
        if link is None:
            return original(self, *arguments)
        link.say()
        try:
            return original(self, *arguments)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            raise link.reason() or error from None

    return writes


def _request(self: http.client.HTTPConnection, *arguments: Any, **named: Any) -> None:
    _plain_request(self, *arguments, **named)
    link = _links.get(self.sock)
    if link is not None:
        link.wait(self.sock)


_plain_request = http.client.HTTPConnection.request


def apply(outbound: int) -> None:
    """Has sockets asked for over `outbound`, a descriptor that was inherited."""
    global _outbound
    _outbound = outbound
    _Socket.__init__ = _init  # type: ignore[method-assign]
    _Socket.connect = _connect  # type: ignore[method-assign]
    _Socket.connect_ex = _connect_ex  # type: ignore[method-assign]
    _Socket.bind = _bind  # type: ignore[method-assign]
    _Socket.listen = _listen  # type: ignore[method-assign]
    _Socket.getpeername = _getpeername  # type: ignore[method-assign]
    _Socket.getsockname = _getsockname  # type: ignore[method-assign]
    _Socket.setsockopt = _setsockopt  # type: ignore[method-assign]
    _Socket.getsockopt = _getsockopt  # type: ignore[method-assign,assignment]
    _Socket.family = property(_family)  # type: ignore[method-assign,assignment]
    for name in ("send", "sendall", "sendmsg"):
        setattr(_Socket, name, _sending(name))
    for name in ("recv", "recv_into"):
        setattr(_Socket, name, _receiving(name))
    http.client.HTTPConnection.request = _request  # type: ignore[method-assign]
    ssl.SSLContext.wrap_socket = _wrap_socket  # type: ignore[method-assign]
    ssl.SSLSocket.read = _read  # type: ignore[method-assign]
    for name in ("send", "write"):
        setattr(ssl.SSLSocket, name, _writing(name))
    replace_everywhere(names.apply())
