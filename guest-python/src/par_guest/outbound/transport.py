"""A transport of asyncio for clients on the event loop: `httpx.AsyncClient`, `aiohttp`, streams.

Nothing here can be taken back once the host has it. A transport that is closed abandons its
exchange, so that the waits which are left end soon, and nobody hears of their end.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, NoReturn

from componentize_py_types import Err
from wit_world.imports import outbound as world

from par_guest.loop import HostLoop
from par_guest.outbound import names, polling, tls
from par_guest.outbound.exchange import Connection, Peer, failure_of
from par_guest.outbound.failures import refused
from par_guest.outbound.sockets import OutboundSocket, check_name
from par_guest.outbound.wire import CONTINUE

#: Most bytes of a request body that wait for the host before the client is asked to pause.
_WAITING_BYTES = 64 * 1024

#: Longest name in the preface of TLS. Unit: bytes.
_NAME_BYTES = 512

_NOT_HTTP = "PAR carries HTTP requests to granted hosts and nothing else, so {what}"


class OutboundTransport(asyncio.Transport):
    """A connection of a client, as asyncio sees it."""

    def __init__(self, loop: HostLoop, protocol: Any, peer: Peer) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._connection = Connection(peer)
        self._preface: bytearray | None = bytearray()
        self._closing = False
        self._resumed: asyncio.Future[None] | None = None
        self._pushing = False
        self._answering = False
        self._waiting_bytes = _WAITING_BYTES
        self._paused_protocol = False
        self._socket = _Shown(peer, self)

    # -- what a transport is --------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        peer = self._connection.peer
        known = {
            "peername": (peer.host, peer.port),
            "sockname": ("0.0.0.0", 0),  # noqa: S104  # what an unbound socket says
            "socket": self._socket,
        }
        return known.get(name, default)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._resumed is None and not self._closing

    def pause_reading(self) -> None:
        if self._resumed is None:
            self._resumed = self._loop.create_future()

    def resume_reading(self) -> None:
        if self._resumed is not None:
            if not self._resumed.done():
                self._resumed.set_result(None)
            self._resumed = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._waiting_bytes = _WAITING_BYTES if high is None else high

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, self._waiting_bytes

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._connection.outgoing))

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self._close(None)

    abort = close

    def _close(self, failure: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._connection.abandon()
        self.resume_reading()
        self._loop.call_soon(self._lost, failure)

    def _lost(self, failure: OSError | None) -> None:
        self._protocol.connection_lost(failure)

    def secure(self, context: Any, server_hostname: str | None) -> None:
        """Makes what follows requests for `https`."""
        tls.check(context)
        check_name(self._connection.peer, server_hostname)
        self._connection.peer.secure = True
        self._preface = None

    # -- requests -------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        if self._closing or not data:
            return
        connection = self._connection
        try:
            if self._preface is not None:
                data = self._greet(data)
            connection.feed(data)
        except OSError as failure:
            self._close(failure)
            return
        if connection.take_expectation():
            self._deliver(CONTINUE)
        if connection.streams and connection.number:
            self._push()
        elif connection.incoming:
            self._answer()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def _greet(self, data: Any) -> bytes:
        """Takes a preface of TLS off the first bytes that are written."""
        preface = self._preface
        assert preface is not None  # noqa: S101  # asked by `write`
        preface += data
        if not preface.startswith(tls.PREFACE[: len(preface)]):
            self._preface = None
            return bytes(preface)
        name, line_feed, rest = preface[len(tls.PREFACE) :].partition(b"\n")
        if not line_feed:
            if len(preface) > _NAME_BYTES:
                raise refused(_NOT_HTTP.format(what="what was sent was not taken for it"))
            return b""
        self._preface = None
        check_name(self._connection.peer, name.decode() or None)
        self._connection.peer.secure = True
        return bytes(rest)

    def _push(self) -> None:
        if not self._pushing:
            self._pushing = True
            self._start(self._push_all())
        if not self._answering:
            # A server may answer, or refuse, before it has the whole body.
            self._answer()
        if self.get_write_buffer_size() > self._waiting_bytes and not self._paused_protocol:
            self._paused_protocol = True
            self._protocol.pause_writing()

    async def _push_all(self) -> None:
        connection = self._connection
        number = connection.number
        try:
            while connection.outgoing and connection.number == number:
                await world.push(number, connection.outgoing[0])
                if connection.outgoing:
                    connection.outgoing.pop(0)
            if connection.incoming and connection.number == number:
                world.finish(number)
        except Err:
            pass  # whoever waits for the answer hears why
        self._pushing = False
        if self._paused_protocol:
            self._paused_protocol = False
            self._protocol.resume_writing()

    # -- responses ------------------------------------------------------------------------

    def _answer(self) -> None:
        if not self._answering:
            self._answering = True
            self._start(self._receive())

    async def _receive(self) -> None:
        connection = self._connection
        number = connection.number
        try:
            response = await world.answer(number)
            if connection.number != number:
                return
            complete = response.body is not None
            self._deliver(connection.answered(response))
            while not complete:
                if self._resumed is not None:
                    await self._resumed
                if connection.number != number:
                    return
                chunk = await world.pull(number)
                if connection.number != number:
                    return
                complete = not chunk
                self._deliver(connection.pulled(chunk))
                # A fast server must not fill the memory before the client has read a byte.
                await asyncio.sleep(0)
        except Err as error:
            if connection.number == number:
                connection.done()
                self._close(failure_of(error))
        finally:
            self._answering = False
        if connection.closing and not self._closing:
            self._end()

    def _deliver(self, data: bytes) -> None:
        if not data or self._closing:
            return
        protocol = self._protocol
        try:
            if isinstance(protocol, asyncio.BufferedProtocol):
                asyncio.protocols._feed_data_to_buffered_proto(protocol, data)  # type: ignore[attr-defined]
            else:
                protocol.data_received(data)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": "an HTTP client failed on its response", "exception": error}
            )
            self.close()

    def _end(self) -> None:
        if not self._protocol.eof_received():
            self._close(None)

    def readable(self) -> bool:
        """Whether a kept connection is of no use any more; asked through `select`."""
        return self._closing

    def _start(self, coroutine: Any) -> None:
        # A context of its own: the one of the caller is entered already.
        context = contextvars.copy_context()
        asyncio.Task(coroutine, loop=self._loop, context=context, eager_start=True)


class _Shown(OutboundSocket):
    """What `get_extra_info("socket")` shows: libraries ask it for options and for its number."""

    def __init__(self, peer: Peer, transport: OutboundTransport) -> None:
        super().__init__()
        self._connection = Connection(peer)
        self._transport = transport
        self._number = polling.register(self)

    def readable(self) -> bool:
        return self._transport.readable()


async def create_connection(
    loop: HostLoop,
    protocol_factory: Any,
    host: Any = None,
    port: Any = None,
    *,
    ssl: Any = None,
    sock: Any = None,
    server_hostname: str | None = None,
    **_options: Any,
) -> tuple[OutboundTransport, Any]:
    """`loop.create_connection`. Nothing is connected yet: the host does that for a request."""
    if sock is not None:
        if not isinstance(sock, OutboundSocket):
            raise refused(_NOT_HTTP.format(what="the socket was not taken over"))
        host, port = sock.getpeername()
        sock.detach()
    if host is None:
        raise ValueError("host and port was not specified and no sock specified")
    address = names.look_up(host, port)[0][4]
    transport = OutboundTransport(loop, None, Peer(address[0], address[1]))
    if ssl:
        context = _default_context() if ssl is True else ssl
        transport.secure(context, server_hostname)
    protocol = protocol_factory()
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return transport, protocol


async def start_tls(
    loop: HostLoop,
    transport: Any,
    protocol: Any,
    sslcontext: Any,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    **_options: Any,
) -> Any:
    """`loop.start_tls`."""
    if server_side or not isinstance(transport, OutboundTransport):
        raise refused(_NOT_HTTP.format(what="TLS was not started"))
    transport.secure(sslcontext, server_hostname)
    transport.set_protocol(protocol)
    return transport


async def sock_connect(loop: HostLoop, sock: Any, address: Any) -> None:
    """`loop.sock_connect`, which connects nothing yet."""
    sock.connect(address)


def _default_context() -> Any:
    import ssl

    return ssl.create_default_context()


def _refusing(what: str) -> Any:
    async def refuse(_loop: HostLoop, *_args: Any, **_options: Any) -> NoReturn:
        raise refused(_NOT_HTTP.format(what=what))

    return refuse


def install() -> None:
    """Gives the loop what `BaseEventLoop` has for real sockets only."""
    methods = {
        "create_connection": create_connection,
        "start_tls": start_tls,
        "sock_connect": sock_connect,
        "create_unix_connection": _refusing("no socket of a file was opened"),
        "create_server": _refusing("nothing listens; PAR serves the agent"),
        "create_unix_server": _refusing("nothing listens; PAR serves the agent"),
        "create_datagram_endpoint": _refusing("no datagram was sent"),
        "connect_accepted_socket": _refusing("nothing listens; PAR serves the agent"),
    }
    for name, method in methods.items():
        setattr(HostLoop, name, method)
