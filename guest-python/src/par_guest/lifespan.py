"""Tells the agent of start and stop: the ASGI lifespan, and the functions of older agents.

The lifespan of an application runs as one task from start to stop, because what it opens
before its `yield` must be closed by the same task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from typing import Any

from par_guest.hooks import Hooks
from par_guest.loading import LoadFailure, describe, format_traceback

logger = logging.getLogger("par_guest.lifespan")

Message = MutableMapping[str, Any]

_STARTUP = "lifespan.startup"
_SHUTDOWN = "lifespan.shutdown"

#: How long an application may take to return after it said that it has stopped (seconds).
_LINGER = 1.0


class Lifespan:
    """Start and stop of one application and its hooks.

    `app` is an ASGI 3 application or `None`. Both methods may be called once; `shutdown`
    without `startup` does nothing.
    """

    def __init__(self, app: Callable[..., Any] | None, hooks: Hooks | None = None) -> None:
        self._app = app
        self._hooks = hooks
        self._events: asyncio.Queue[Message] | None = None
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[Message | None] | None = None
        self._started = False
        #: The application has answered that its startup is complete.
        self._up = False
        #: The application has answered that its startup or shutdown failed.
        self._failed = False
        #: What the application put into its lifespan state; each request gets a copy.
        self.state: dict[str, Any] = {}

    @property
    def wanted(self) -> bool:
        """Whether there is anything to tell."""
        return self._app is not None or bool(self._hooks)

    async def startup(self) -> None:
        """Runs the hooks, then the application's startup.

        Raises [`LoadFailure`] with `startup-failed` when one of them fails. An application
        that does not know the protocol is fine.
        """
        self._started = True
        if self._hooks is not None:
            await self._hooks.startup()
        if self._app is None:
            return
        self._events = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="lifespan")
        answer = await self._tell(_STARTUP)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            text = answer.get("message", "")
            raise LoadFailure(
                "startup-failed",
                f"the application failed to start: {_last_line(text)}",
                text,
            )

    async def shutdown(self) -> None:
        """Runs the application's shutdown, then the hooks; what fails is logged."""
        if not self._started:
            return
        self._started = False
        if self._task is not None and not self._task.done():
            answer = await self._tell(_SHUTDOWN)
            if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                logger.error("the application failed to stop: %s", answer.get("message", ""))
            await asyncio.wait([self._task], timeout=_LINGER)
            self._task.cancel()
        if self._hooks is not None:
            await self._hooks.shutdown()

    async def _tell(self, event: str) -> Message | None:
        """Sends one event; returns the answer, `None` when the application has ended."""
        assert self._events is not None  # noqa: S101 - for the type checker
        self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": event})
        try:
            return await self._answer
        finally:
            self._answer = None

    async def _run(self) -> None:
        assert self._app is not None  # noqa: S101 - for the type checker
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            self._ended()
            raise
        except BaseException as error:  # SystemExit too: it would end the loop
            self._raised(error)
        self._ended()

    def _raised(self, error: BaseException) -> None:
        """What an exception means depends on how far the application has come."""
        waited_for = self._answer is not None and not self._answer.done()
        if self._failed:
            return  # reported already: Starlette reports a failure, then raises it
        if self._up and not waited_for:
            logger.error("the application's lifespan broke off", exc_info=error)
        elif self._up:
            self._fail("lifespan.shutdown.failed", error)
        elif isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._fail("lifespan.startup.failed", error)
        else:
            logger.debug("the application has no lifespan: %s", describe(error))

    def _fail(self, kind: str, error: BaseException) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result({"type": kind, "message": format_traceback(error)})

    def _ended(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    async def _receive(self) -> Message:
        assert self._events is not None  # noqa: S101 - for the type checker
        return await self._events.get()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if not kind.startswith(("lifespan.startup.", "lifespan.shutdown.")):
            raise RuntimeError(f"unexpected ASGI message `{kind}` during the lifespan")
        self._up = self._up or kind == "lifespan.startup.complete"
        self._failed = kind.endswith(".failed")
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)


def _last_line(text: str) -> str:
    """The line of a traceback that says what happened."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason"
