"""Exceptions of the agent as data for the host, and as records for its log."""

from __future__ import annotations

import logging

from wit_world.imports.failure import Failure, Reason

from par_guest.loading import LoadFailure, format_traceback

logger = logging.getLogger("par_guest")


def failure_of(error: BaseException, reason: Reason = Reason.RAISED) -> Failure:
    """The failure an exception of the agent becomes. Never raises."""
    try:
        message = str(error)
    except BaseException:
        message = type(error).__name__
    return Failure(reason, message, format_traceback(error))


def load_failure(error: LoadFailure) -> Failure:
    """The failure that refuses to start an agent."""
    return Failure(Reason[error.reason.upper().replace("-", "_")], error.message, error.traceback)


def protocol_failure(message: str) -> Failure:
    """The failure of an agent that broke the protocol of its surface."""
    return Failure(Reason.PROTOCOL, message, "")


def report(error: BaseException, message: str) -> None:
    """Logs an exception nobody is left to receive."""
    logger.error(message, exc_info=error)
