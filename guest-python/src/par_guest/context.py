"""What the code of one call may ask about that call."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

#: The id of the call being served, `None` outside of calls (import, startup, background).
#:
#: The bridge sets it in the task of the call; tasks the agent starts inherit it, so that
#: their log records name the call that caused them.
current_call: ContextVar[int | None] = ContextVar("par_current_call", default=None)


class Outgoing(Protocol):
    """The response of a call, as far as it was sent."""

    def is_held(self) -> bool:
        """Whether something the application sent is not with the host yet."""

    async def left(self) -> None:
        """Returns when all the application sent is with the host, or nobody wants it."""


#: The response of the HTTP request being served, `None` elsewhere.
current_response: ContextVar[Outgoing | None] = ContextVar("par_current_response", default=None)
