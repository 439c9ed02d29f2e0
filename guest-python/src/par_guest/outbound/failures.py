"""The exceptions an agent sees when the outside does not answer."""

from __future__ import annotations

import errno
import socket
import ssl


class OutboundDenied(PermissionError):
    """PAR does not let the request out; `code` is the stable word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(errno.EACCES, f"{message} ({code})")
        self.code = code


class OutboundTooLarge(OSError):
    """A body is larger than the agent may send or receive."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(errno.EMSGSIZE, f"{message} ({code})")
        self.code = code


def refused(message: str) -> OutboundDenied:
    """What cannot be done in the sandbox, whatever the policy."""
    return OutboundDenied("not_http", message)


def exception_of(reason: str, code: str, message: str) -> OSError:
    """The exception Python's own modules raise for a failure of this kind."""
    if reason == "denied":
        return OutboundDenied(code, message)
    if reason == "too-large":
        return OutboundTooLarge(code, message)
    if reason == "timeout":
        return TimeoutError(errno.ETIMEDOUT, message)
    if reason == "dns":
        return socket.gaierror(socket.EAI_NONAME, message)
    if reason == "connect":
        return ConnectionRefusedError(errno.ECONNREFUSED, message)
    if reason == "tls":
        return ssl.SSLCertVerificationError(1, message)
    if reason == "cancelled":
        return ConnectionAbortedError(errno.ECONNABORTED, message)
    return ConnectionResetError(errno.ECONNRESET, message)
