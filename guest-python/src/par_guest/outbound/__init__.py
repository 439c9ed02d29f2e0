"""HTTP requests of the agent to the outside, for unmodified clients.

Python's HTTP clients write HTTP/1.1 into a socket, or into a transport of asyncio. Here both
end in this process: what a client writes is read as a request (`wire`), carried by the host
(`exchange`), and the response is written back as HTTP/1.1. TLS is the host's, so wrapping a
socket only says that the request is for `https` (`tls`). Whatever is not HTTP is refused with a
sentence.

`sockets` serves clients that block, `transport` those on the event loop; `names` and `polling`
are what both ask before they connect and while they keep a connection.
"""

from __future__ import annotations

from typing import Any


def apply() -> dict[Any, Any]:
    """Replaces methods in place; returns what to replace everywhere."""
    from par_guest.outbound import names, polling, sockets, tls, transport

    transport.install()
    explain_broken_streams()
    return tls.apply() | names.apply() | polling.apply() | sockets.apply()


def explain_broken_streams() -> None:
    """Lets anyio say what broke a stream: clients show the text of its error, which has none."""
    try:
        from anyio import BrokenResourceError
    except ImportError:
        return

    def explained(error: BaseException) -> str:
        return ", ".join(map(str, error.args)) or str(error.__cause__ or "")

    BrokenResourceError.__str__ = explained  # type: ignore[method-assign,assignment]
