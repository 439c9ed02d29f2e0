"""What the code of one call may ask about that call."""

from __future__ import annotations

from contextvars import ContextVar

#: The id of the call being served, `None` outside of calls (import, startup, background).
#:
#: The bridge sets it in the task of the call; tasks the agent starts inherit it, so that
#: their log records name the call that caused them.
current_call: ContextVar[int | None] = ContextVar("par_current_call", default=None)
