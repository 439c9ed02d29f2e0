"""Looking up names: nothing inside of the sandbox does.

Clients look a name up and connect to the first address. Here the name is its own address, so
that the host learns the name, judges it, and resolves it only then. Code that wants to know the
address is told that there is none to know.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any, NoReturn

from par_guest.outbound.failures import refused

_SERVICES = {"http": 80, "https": 443}

_NO_LOOK_UP = (
    "the sandbox looks up no names, so the address of `{name}` is not known; "
    "give the name to an HTTP client, and PAR resolves it if it is granted"
)


def look_up(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """`socket.getaddrinfo`: the name itself, for a TCP client."""
    if type not in (0, socket.SOCK_STREAM):
        raise refused(_NO_LOOK_UP.format(name=_text(host)))
    if not host:
        raise socket.gaierror(socket.EAI_NONAME, "there is no host to connect to")
    name = _text(host)
    try:
        number = int(_SERVICES.get(port, port) or 0)
    except (TypeError, ValueError):
        raise socket.gaierror(socket.EAI_SERVICE, f"`{port}` is not a port") from None
    try:
        is_long = ip_address(name).version == 6
    except ValueError:
        is_long = False
    if is_long:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (name, number, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, number))]


def refuse(name: Any = "", *_: Any) -> NoReturn:
    """`socket.gethostbyname` and its kind."""
    raise refused(_NO_LOOK_UP.format(name=_text(name)))


def _text(host: Any) -> str:
    return host.decode("ascii", "backslashreplace") if isinstance(host, bytes) else str(host)


def apply() -> dict[Any, Any]:
    """What to replace everywhere."""
    refusing = ("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
    present = [getattr(socket, name) for name in refusing if hasattr(socket, name)]
    return dict.fromkeys(present, refuse) | {socket.getaddrinfo: look_up}
