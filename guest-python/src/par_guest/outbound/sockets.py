"""Sockets for clients that block: `http.client` and all that is built on it, `httpx.Client`.

The last byte of a request sends it and waits for the response, so that what goes wrong is
raised where a client expects a connection to fail. Waiting blocks the instance, as blocking
code does on any event loop; its deadline is the host's.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any, NoReturn

from componentize_py_types import Err
from wit_world.imports import outbound as world

from par_guest.outbound import polling
from par_guest.outbound.exchange import Connection, Peer, failure_of
from par_guest.outbound.failures import refused
from par_guest.outbound.wire import CONTINUE

_system_socket = socket.socket

_STREAMS = (socket.AF_INET, socket.AF_INET6, -1)

_ONLY_HTTP = (
    "the sandbox has no sockets, so {what}; PAR carries HTTP requests to granted hosts, "
    "made with any HTTP client"
)


class OutboundSocket(_system_socket):
    """A TCP socket as far as HTTP needs one.

    A subclass of the real one, which it never opens, so that `isinstance` holds.
    """

    # Slots of the real class are not enough, and its state must not be touched.
    __slots__ = (
        "__dict__",
        "_connection",
        "_failure",
        "_gone",
        "_kind",
        "_number",
        "_received",
        "_seconds",
    )

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        # `close` may come while files made of the socket are still read; `_real_close` is the end.
        self._gone = self._closed = True  # until there is something to close
        self._connection: Connection | None = None
        kind = socket.SOCK_STREAM if type == -1 else type & 0xF
        if fileno is not None or family not in _STREAMS or kind != socket.SOCK_STREAM:
            _refuse("only TCP can be opened")
        self._kind = (socket.AF_INET if family == -1 else family, kind, max(proto, 0))
        self._failure: OSError | None = None
        self._received = bytearray()
        self._seconds = socket.getdefaulttimeout()
        self._number = -1
        self._io_refs = 0
        self._gone = self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of PAR, {'closed' if self._closed else 'open'}>"

    # -- what a socket is -----------------------------------------------------------------

    @property
    def family(self) -> int:
        return self._kind[0]

    @property
    def type(self) -> int:
        return self._kind[1]

    @property
    def proto(self) -> int:
        return self._kind[2]

    @property
    def timeout(self) -> float | None:
        return self._seconds

    def fileno(self) -> int:
        return -1 if self._gone else self._number

    def gettimeout(self) -> float | None:
        return self._seconds

    def settimeout(self, value: float | None, /) -> None:
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._seconds = value

    def setblocking(self, flag: bool, /) -> None:
        self._seconds = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._seconds != 0

    def setsockopt(self, *_options: Any) -> None:
        """Accepted: the connection is the host's."""

    def getsockopt(self, _level: int, _name: int, length: int = 0, /) -> int | bytes:
        return bytes(length) if length else 0

    def getpeername(self) -> tuple[str, int]:
        peer = self._connected().peer
        return peer.host, peer.port

    def getsockname(self) -> tuple[str, int]:
        return "0.0.0.0", 0  # noqa: S104  # what an unbound socket says

    # -- connecting -----------------------------------------------------------------------

    def connect(self, address: Any, /) -> None:
        host, port = address_of(address)
        if self._connection is not None:
            raise OSError(errno.EISCONN, "the socket is connected already")
        self._connection = Connection(Peer(host, port))
        self._number = polling.register(self)

    def connect_ex(self, address: Any, /) -> int:
        self.connect(address)
        return 0

    def secure(self, server_hostname: str | None) -> None:
        """Makes what follows a request for `https`."""
        peer = self._connected().peer
        check_name(peer, server_hostname)
        peer.secure = True

    def _connected(self) -> Connection:
        if self._gone:
            raise OSError(errno.EBADF, "the socket is closed")
        if self._connection is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        return self._connection

    # -- sending --------------------------------------------------------------------------

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        connection = self._connected()
        if self._failure is not None:
            raise self._failure
        try:
            connection.feed(data)
            if connection.take_expectation():
                self._received += CONTINUE
            if connection.streams:
                self._push(connection)
            if connection.incoming:
                self._received += connection.answered(
                    _wait(world.answer_and_wait, connection.number, self._milliseconds())
                )
        except OSError as failure:
            connection.abandon()
            # A client may drop this one, and ask for the response all the same.
            self._failure = failure
            raise

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sendall(data)
        return memoryview(data).nbytes

    def sendmsg(self, buffers: Any, *_rest: Any) -> int:
        return self.send(b"".join(buffers))

    def _push(self, connection: Connection) -> None:
        for piece in connection.outgoing:
            _wait(world.push_and_wait, connection.number, piece, self._milliseconds())
        connection.outgoing.clear()
        if connection.incoming:
            world.finish(connection.number)

    def _milliseconds(self) -> int | None:
        return None if self._seconds is None else max(1, int(self._seconds * 1000))

    # -- receiving ------------------------------------------------------------------------

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        connection = self._connected()
        while not self._received:
            if self._failure is not None:
                raise self._failure
            if not connection.incoming:
                if connection.closing:
                    return b""
                _refuse("nothing is received before a request is sent")
            if self._seconds == 0:
                raise BlockingIOError(errno.EAGAIN, "nothing has been received yet")
            try:
                chunk = _wait(world.pull_and_wait, connection.number, self._milliseconds())
            except TimeoutError:
                raise  # the exchange goes on
            except OSError as failure:
                connection.done()
                self._failure = failure
                raise
            self._received += connection.pulled(chunk)
        if flags & getattr(socket, "MSG_PEEK", 0):
            return bytes(self._received[:size])
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        """Whether `recv` would return at once, as `select` wants to know."""
        connection = self._connection
        if self._received or self._failure is not None or connection is None:
            return True
        return connection.closing and not connection.incoming

    # -- the end --------------------------------------------------------------------------

    def shutdown(self, _how: int, /) -> None:
        self._connected()

    def _real_close(self, *_: Any) -> None:
        self._gone = self._closed = True
        if self._connection is not None:
            self._connection.abandon()

    def detach(self) -> int:
        self._gone = self._closed = True
        return -1

    def dup(self) -> NoReturn:
        _refuse("there is nothing to duplicate")

    def bind(self, address: Any, /) -> None:
        # Clients bind to "any address" before they connect.
        if address[0] not in ("", "0.0.0.0", "::") or address[1] != 0:  # noqa: S104
            _refuse(f"`{address}` was not bound")

    def listen(self, *_: Any) -> NoReturn:
        _refuse("nothing can listen; PAR serves the agent")

    def accept(self) -> NoReturn:
        _refuse("nothing can listen; PAR serves the agent")

    def sendto(self, *_: Any) -> NoReturn:
        _refuse("no datagram was sent")

    def recvfrom(self, *_: Any) -> NoReturn:
        _refuse("no datagram can be received")

    def __del__(self) -> None:
        if not self._gone:
            self._real_close()

    # -- what clients ask of a socket with TLS --------------------------------------------

    def getpeercert(self, binary_form: bool = False) -> Any:
        """None: the certificate is checked by the host, which shows it to nobody."""
        return None

    def get_verified_chain(self) -> list[bytes]:
        return []

    get_unverified_chain = get_verified_chain

    def version(self) -> str | None:
        return "TLSv1.3" if self._connected().peer.secure else None

    def cipher(self) -> None:
        return None

    def selected_alpn_protocol(self) -> None:
        return None

    def do_handshake(self, block: bool = False) -> None:
        self._connected()

    def unwrap(self) -> OutboundSocket:
        return self


def _wait(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Err as error:
        raise failure_of(error) from None


def check_name(peer: Peer, server_hostname: str | None) -> None:
    """Refuses TLS to another name than the one connected to."""
    if server_hostname is None:
        return
    wanted, own = server_hostname.rstrip(".").lower(), peer.host.rstrip(".").lower()
    if wanted.strip("[]") != own:
        raise ssl.SSLCertVerificationError(
            1,
            f"TLS was started for `{server_hostname}` on a connection to `{peer.host}`; "
            "PAR checks the certificate of the host it connects to",
        )


def address_of(address: Any) -> tuple[str, int]:
    """Host and port of what is passed to `connect`."""
    if not isinstance(address, tuple) or len(address) < 2:
        _refuse(f"`{address}` was not connected")
    host, port = address[0], address[1]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "backslashreplace")
    if not host:
        _refuse(f"`{address}` was not connected")
    return host, int(port)


def create_connection(
    address: tuple[str, int],
    timeout: Any = socket._GLOBAL_DEFAULT_TIMEOUT,  # type: ignore[attr-defined]
    source_address: Any = None,
    *,
    all_errors: bool = False,
) -> OutboundSocket:
    """`socket.create_connection`."""
    opened = OutboundSocket(socket.AF_INET, socket.SOCK_STREAM)
    if timeout is not socket._GLOBAL_DEFAULT_TIMEOUT:  # type: ignore[attr-defined]
        opened.settimeout(timeout)
    opened.connect(address)
    return opened


def _refuse(what: str) -> NoReturn:
    raise refused(_ONLY_HTTP.format(what=what))


def apply() -> dict[Any, Any]:
    """What to replace everywhere."""
    return {
        _system_socket: OutboundSocket,
        socket.create_connection: create_connection,
    }
