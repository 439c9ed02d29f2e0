"""What the agent logs, as records for the host.

The guest writes no log line itself: a line can be forged, a record cannot. Handlers the
agent installs for the console are kept from writing and their records sent instead, each
record once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from par_guest.context import current_call
from par_guest.loading import format_traceback

Level = Literal["debug", "info", "warning", "error"]

#: Takes level, logger, message, traceback and the id of the call.
Emit = Callable[[Level, str, str, "str | None", "int | None"], None]

#: Set on a record that was sent, so that a second handler does not send it again.
_SENT = "_par_sent"


class RecordSender(logging.Handler):
    """Sends each log record to the host."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the record once; never raises into the agent's code."""
        if hasattr(record, _SENT):
            return
        setattr(record, _SENT, True)
        self._emit(
            level_of(record.levelno),
            record.name,
            _message(record),
            _traceback(record),
            current_call.get(),
        )


def level_of(number: int) -> Level:
    """The host's level for a level of `logging`, the agent's own levels included."""
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def install(emit: Emit) -> RecordSender:
    """Makes the host the destination of all logging, warnings and unhandled exceptions."""
    sender = RecordSender(emit)
    root = logging.getLogger()
    root.handlers[:] = [sender]
    root.setLevel(logging.INFO)
    _redirect_console(sender)
    _keep_through_basic_config(sender)
    logging.captureWarnings(True)
    sys.excepthook = _log_unhandled
    sys.unraisablehook = _log_unraisable
    return sender


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return f"{_shown(record.msg)} (its arguments do not fit: {_shown(record.args)})"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"a `{type(value).__name__}` that cannot be printed"


def _traceback(record: logging.LogRecord) -> str | None:
    parts = []
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        parts.append(format_traceback(error))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts) or None


def _redirect_console(sender: RecordSender) -> None:
    """Console handlers of the agent send records; those that write to files stay as they are."""
    write = logging.StreamHandler.emit
    if hasattr(write, "par_console"):
        write = write.par_console

    def emit(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
        if handler.stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            sender.emit(record)
        else:
            write(handler, record)

    emit.par_console = write  # type: ignore[attr-defined]
    logging.StreamHandler.emit = emit  # type: ignore[method-assign]


def _keep_through_basic_config(sender: RecordSender) -> None:
    """`basicConfig` sets the agent's level; what else it configures must not replace ours."""
    configure = logging.basicConfig
    if hasattr(configure, "par_original"):
        configure = configure.par_original

    def basic_config(**options: Any) -> None:
        root = logging.getLogger()
        root.removeHandler(sender)
        try:
            configure(**options)
        except OSError as error:
            # A log file the agent cannot write is no reason not to serve.
            sender.handle(_cannot_write(options, error))
            level = options.get("level")
            if level is not None:
                root.setLevel(level)
        finally:
            root.addHandler(sender)

    basic_config.par_original = configure  # type: ignore[attr-defined]
    logging.basicConfig = basic_config


def _cannot_write(options: dict[str, Any], error: OSError) -> logging.LogRecord:
    return logging.LogRecord(
        "par_guest.logs",
        logging.WARNING,
        __file__,
        0,
        "the log file `%s` cannot be written, its records go to PAR's log only: %s",
        (options.get("filename"), error),
        None,
    )


def _log_unhandled(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("par_guest").error("unhandled exception", exc_info=(kind, error, trace))


def _log_unraisable(unraisable: Any) -> None:
    message = unraisable.err_msg or "exception ignored"
    error = unraisable.exc_value
    logging.getLogger("par_guest").error(
        "%s in %r",
        message,
        unraisable.object,
        exc_info=(type(error), error, error.__traceback__) if error is not None else None,
    )
