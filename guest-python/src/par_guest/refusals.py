"""Says in a sentence what the sandbox does not have: threads, processes, more loops."""

from __future__ import annotations

import _thread
import asyncio
import asyncio.subprocess
import errno
import multiprocessing.process
import os
import subprocess
import threading
from typing import Any, NoReturn

_NO_THREADS = (
    "there are no threads in the sandbox, so `{name}` was not started; "
    "use an `asyncio` task, or `asyncio.to_thread`, which runs the function at once"
)
_NO_PROCESSES = "the sandbox starts no processes, so `{program}` was not run"
_ONE_LOOP = (
    "there is one event loop in the sandbox and it runs already; "
    "make the function `async def` and await instead"
)


class NoThreadsError(RuntimeError):
    """A thread was asked for where there are none."""


class NoProcessesError(PermissionError):
    """A process was asked for where there are none."""

    def __init__(self, program: object) -> None:
        super().__init__(errno.EPERM, _NO_PROCESSES.format(program=program))


def apply() -> dict[Any, Any]:
    """Replaces methods in place; returns the functions to replace everywhere."""
    threading.Thread.start = start_thread  # type: ignore[method-assign]
    subprocess.Popen.__init__ = start_process  # type: ignore[method-assign]
    multiprocessing.process.BaseProcess.start = start_child  # type: ignore[method-assign]
    # Where the platform has no `os.system`, calling it would say so in Python's words.
    os.system = run_shell  # type: ignore[assignment]
    starters = ("start_new_thread", "start_new", "start_joinable_thread")
    threads = [getattr(_thread, name) for name in starters if hasattr(_thread, name)]
    return dict.fromkeys(threads, start_new_thread) | {
        asyncio.create_subprocess_exec: create_subprocess,
        asyncio.create_subprocess_shell: create_subprocess,
        asyncio.new_event_loop: new_event_loop,
    }


def start_thread(thread: threading.Thread) -> NoReturn:
    """`Thread.start`, refused."""
    target = getattr(thread, "_target", None)
    raise NoThreadsError(_NO_THREADS.format(name=getattr(target, "__name__", thread.name)))


def start_new_thread(function: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
    """`_thread.start_new_thread`, refused."""
    raise NoThreadsError(_NO_THREADS.format(name=getattr(function, "__name__", "thread")))


def start_process(process: subprocess.Popen[Any], args: Any, *_: Any, **__: Any) -> NoReturn:
    """`subprocess.Popen`, and with it `run`, `call` and `check_output`, refused."""
    process._child_created = False  # what its destructor asks  # type: ignore[attr-defined]
    raise NoProcessesError(_program(args))


def start_child(process: multiprocessing.process.BaseProcess) -> NoReturn:
    """`multiprocessing.Process.start`, refused."""
    target = getattr(process, "_target", None)
    raise NoProcessesError(getattr(target, "__name__", process.name))


def run_shell(command: Any) -> NoReturn:
    """`os.system`, refused."""
    raise NoProcessesError(_program(command))


async def create_subprocess(program: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
    """`asyncio.create_subprocess_exec` and `_shell`, refused."""
    raise NoProcessesError(_program(program))


def new_event_loop() -> NoReturn:
    """`asyncio.new_event_loop`, refused."""
    raise RuntimeError(_ONE_LOOP)


def _program(args: Any) -> str:
    first = args[0] if isinstance(args, (list, tuple)) and args else args
    text = first.decode(errors="replace") if isinstance(first, bytes) else str(first)
    return text.split(" ", 1)[0]
