"""TLS, which the host makes: here it is only said where it begins.

`ssl.SSLContext` wraps a socket, or a pair of buffers in memory. The first marks the socket; the
second writes a preface into the outgoing buffer, which `transport` takes for what it is. The
host verifies the certificate of the host in the URL, always, against the roots its operator
chose; a context that wants something else is refused, so that nobody believes in it.
"""

from __future__ import annotations

import ssl
from typing import Any, NoReturn

from par_guest.outbound.sockets import OutboundSocket

#: Begins a connection with TLS on a transport in memory; the name and a line feed follow.
PREFACE = b"\x16PAR-TLS "

_VERIFIED = (
    "certificates are always verified in the sandbox, by PAR: `verify=False` and "
    "`ssl.CERT_NONE` are refused; a private authority is added by the operator of PAR "
    "(`SSL_CERT_FILE` of the host)"
)
_CLIENTS_ONLY = "the sandbox serves no TLS: nothing in it listens"

_system_wrap_socket = ssl.SSLContext.wrap_socket


def check(context: ssl.SSLContext) -> None:
    """Refuses a context that trusts otherwise than the host."""
    if context.verify_mode == ssl.CERT_NONE:
        raise ssl.SSLError(1, _VERIFIED)


def wrap_socket(
    context: ssl.SSLContext,
    sock: Any,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: Any = None,
    session: Any = None,
) -> Any:
    """`SSLContext.wrap_socket`."""
    if not isinstance(sock, OutboundSocket):
        return _system_wrap_socket(context, sock, server_side)
    if server_side:
        raise ssl.SSLError(1, _CLIENTS_ONLY)
    check(context)
    sock.secure(_name(server_hostname))
    return sock


def wrap_bio(
    context: ssl.SSLContext,
    incoming: Any,
    outgoing: Any,
    server_side: bool = False,
    server_hostname: Any = None,
    session: Any = None,
) -> TLSObject:
    """`SSLContext.wrap_bio`."""
    if server_side:
        raise ssl.SSLError(1, _CLIENTS_ONLY)
    check(context)
    wrapped = TLSObject.__new__(TLSObject)
    wrapped._begin(context, incoming, outgoing, _name(server_hostname))
    return wrapped


def _name(server_hostname: Any) -> str | None:
    if isinstance(server_hostname, (bytes, bytearray)):
        return server_hostname.decode("ascii", "backslashreplace")
    return server_hostname or None


class TLSObject(ssl.SSLObject):
    """An `ssl.SSLObject` between two buffers in memory that changes nothing on the way."""

    def _begin(self, context: Any, incoming: Any, outgoing: Any, name: str | None) -> None:
        self._context = context
        self._incoming = incoming
        self._outgoing = outgoing
        self._name = name
        self._greeted = False

    @property
    def context(self) -> Any:
        return self._context

    @context.setter
    def context(self, context: Any) -> None:
        self._context = context

    @property
    def session(self) -> None:
        return None

    @property
    def session_reused(self) -> bool:
        return False

    @property
    def server_side(self) -> bool:
        return False

    @property
    def server_hostname(self) -> str | None:
        return self._name

    def do_handshake(self) -> None:
        if not self._greeted:
            self._greeted = True
            self._outgoing.write(PREFACE + (self._name or "").encode() + b"\n")

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        data = self._incoming.read(len)
        if not data and not self._incoming.eof:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "nothing has been received yet")
        if buffer is None:
            return data
        memoryview(buffer)[: data.__len__()] = data
        return data.__len__()

    def write(self, data: Any) -> int:
        self.do_handshake()
        return self._outgoing.write(data)

    def pending(self) -> int:
        return self._incoming.pending

    def unwrap(self) -> None:
        """Nothing to take leave of."""

    def getpeercert(self, binary_form: bool = False) -> Any:
        return None

    def get_verified_chain(self) -> list[bytes]:
        return []

    get_unverified_chain = get_verified_chain

    def selected_npn_protocol(self) -> None:
        return None

    def selected_alpn_protocol(self) -> None:
        return None

    def cipher(self) -> None:
        return None

    def shared_ciphers(self) -> None:
        return None

    def compression(self) -> None:
        return None

    def get_channel_binding(self, cb_type: str = "tls-unique") -> None:
        return None

    def version(self) -> str:
        return "TLSv1.3"

    def verify_client_post_handshake(self) -> NoReturn:
        raise ssl.SSLError(1, _CLIENTS_ONLY)


def apply() -> dict[Any, Any]:
    """Replaces methods in place; nothing has to be replaced everywhere."""
    ssl.SSLContext.wrap_socket = wrap_socket  # type: ignore[method-assign,assignment]
    ssl.SSLContext.wrap_bio = wrap_bio  # type: ignore[method-assign,assignment]
    return {}
