"""The event loop of an instance, and how it meets the component's async exports.

A component has no poll to block in: the host calls an export, the export runs until every
task of the loop waits, and then says which host events should bring it back. Two kinds of
export take part:

- the *home* (`lifecycle.run`) owns every wait of the instance: the alarm behind all timers,
  body streams, disconnects. It is called back for each event, and runs the loop.
- a *call* (`http.handle`, `actions.invoke`, ...) runs its first step at once. Most calls are
  done then. One that has to wait parks; the home completes its task and wakes it, because
  only the call itself may return its result.

That way a task may wait for anything another request does (an `Event`, a `Queue`, a lock),
and work that outlives a response goes on without it.

componentize-py's own support module gives each export a loop of its own and has no timers;
its three inner functions are replaced here.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import sys
import threading
import types
from asyncio import base_events
from collections.abc import Awaitable, Callable
from typing import Any

import componentize_py_async_support as support
import componentize_py_runtime as runtime
from componentize_py_types import Err, Ok
from wit_world.imports import calls, clock

EXIT = 0
YIELD = 1
WAIT = 2

EVENT_NONE = 0
EVENT_SUBTASK = 1

# A loop that always has something ready (a task spinning on `sleep(0)`) must still let new
# calls in: after this many passes it goes back to the host once.
PASSES_PER_TURN = 32

# Cancelled timers are left in the heap until they are many.
MANY_TIMERS = 100

HOME_TOKEN = 0

NANOSECONDS = 1_000_000_000


class HostLoop(base_events.BaseEventLoop):
    """asyncio's own base loop, with the host in the place of the selector."""

    def __init__(self) -> None:
        super().__init__()
        self._waits: dict[int, tuple[asyncio.Future[int], Any]] = {}
        self._home_set = 0
        self._home_waiting = False
        self._alarm_at: float | None = None
        self._alarm_wait: asyncio.Future[None] | None = None
        self._held: list[Callable[[], None]] = []
        self._stopped: asyncio.Future[None] | None = None

    # -- what BaseEventLoop leaves to a subclass ------------------------------------------

    def _process_events(self, event_list: object) -> None:
        raise NotImplementedError

    def _write_to_self(self) -> None:
        """Nothing to interrupt: the guest has one thread."""

    def run_in_executor(
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Runs `func` at once: there are no threads in the sandbox."""
        future = self.create_future()
        try:
            result = func(*args)
        except BaseException as error:  # the caller awaits it, as it would a thread's error
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    def run_forever(self) -> None:
        raise RuntimeError("the event loop of the sandbox is always running")

    def run_until_complete(self, future: Awaitable[Any]) -> Any:
        if hasattr(future, "close"):
            future.close()
        raise RuntimeError(
            "the event loop is already running; make the function `async` and await instead"
        )

    # -- waiting for the host -------------------------------------------------------------

    def watch(self, waitable: int, promise: Any) -> asyncio.Future[int]:
        """Returns a future that the home completes when the host reports on `waitable`.

        The operation behind it cannot be taken back. When its waiter is cancelled it stays
        here until it ends, and its result is dropped.
        """
        future = self.create_future()
        self._waits[waitable] = (future, promise)
        runtime.waitable_join(waitable, self._set_of_home())
        return future

    def _set_of_home(self) -> int:
        """What the home waits for. A call that comes before the home may wait already."""
        if not self._home_set:
            self._home_set = runtime.waitable_set_new()
        return self._home_set

    def hold(self, flush: Callable[[], None]) -> None:
        """Calls `flush` when nothing is ready any more, before the instance waits."""
        self._held.append(flush)

    def turn(self) -> bool:
        """Runs what is ready, and timers that are due; true when something is left."""
        for _ in range(PASSES_PER_TURN):
            if self._scheduled:
                self._collect_due()
            ready = self._ready
            if not ready:
                if not self._held:
                    break
                held, self._held = self._held, []
                for flush in held:
                    flush()
                continue
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    try:
                        handle._run()
                    except BaseException as error:
                        # asyncio lets SystemExit and KeyboardInterrupt through; here they
                        # would end the instance and everybody else's requests with it.
                        self._report(error)
        if self._scheduled:
            self._arm()
        return bool(self._ready or self._held)

    def _report(self, error: BaseException) -> None:
        self.call_exception_handler({"message": "a task tried to exit", "exception": error})

    def _collect_due(self) -> None:
        scheduled = self._scheduled
        cancelled = self._timer_cancelled_count
        if cancelled > MANY_TIMERS and cancelled * 2 > len(scheduled):
            # Timeouts of requests that were answered in time: as in asyncio's own loop.
            kept = [handle for handle in scheduled if not handle._cancelled]
            for handle in scheduled:
                handle._scheduled = not handle._cancelled
            heapq.heapify(kept)
            self._scheduled = scheduled = kept
            self._timer_cancelled_count = 0
        end = self.time() + self._clock_resolution
        while scheduled:
            handle = scheduled[0]
            if handle._cancelled:
                self._timer_cancelled_count -= 1
            elif handle._when > end:
                break
            heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                self._ready.append(handle)

    def _arm(self) -> None:
        """Moves the alarm when the earliest timer is earlier than it. A timer that is due by now
        becomes ready instead."""
        while self._scheduled and not self._ready:
            when = self._scheduled[0]._when
            if self._alarm_at is not None and self._alarm_at <= when:
                return
            left = when - self.time()
            if left <= 0:
                self._collect_due()
                continue
            self._alarm_at = when
            clock.set_alarm(int(left * NANOSECONDS))
            if self._alarm_wait is not None:
                return
            wait = start_task(_alarm(self))
            # An alarm may ring before anybody waits for it: then that wait is over, and
            # nobody would hear the next one if it counted as the one that waits.
            if not wait.done():
                self._alarm_wait = wait

    # -- the home -------------------------------------------------------------------------

    def start_home(self) -> int:
        """Begins the home's wait; the return value goes to the host."""
        self._set_of_home()
        self._stopped = self.create_future()
        self._guard()
        return self.continue_home()

    def _guard(self, _: object = None) -> None:
        """Keeps one wait in the home's set, by which calls can bring it back."""
        if self._stopped is not None and not self._stopped.done():
            asyncio.ensure_future(calls.park(HOME_TOKEN), loop=self).add_done_callback(self._guard)

    def continue_home(self) -> int:
        """Runs the loop and says what the home waits for next."""
        left = self.turn()
        if self._stopped is not None and self._stopped.done():
            return EXIT
        runtime.context_set(_HOME)
        if left:
            return YIELD
        self._home_waiting = True
        return WAIT | (self._home_set << 4)

    def call_home(self) -> None:
        """Brings the home back, because a call leaves work that is ready."""
        if self._home_waiting:
            self._home_waiting = False
            calls.wake(HOME_TOKEN)

    def stop_home(self) -> None:
        """Lets the home return after the current turn."""
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)
            calls.wake(HOME_TOKEN)

    def deliver(self, waitable: int, is_subtask: bool, payload: int) -> None:
        """Completes the wait for `waitable`."""
        runtime.waitable_join(waitable, 0)
        if is_subtask:
            runtime.subtask_drop(waitable)
        future, promise = self._waits.pop(waitable)
        if future.cancelled():
            runtime.promise_get_result(payload, promise)
        else:
            future.set_result(payload)


async def _alarm(loop: HostLoop) -> None:
    await clock.alarm()
    loop._alarm_at = None
    loop._alarm_wait = None


class _Home:
    """Marks the context of the component task that is the home."""


_HOME = _Home()

loop = HostLoop()


class Call:
    """One exported async function in flight.

    `result` is what the host gets; setting it through [`answer`] is all a call has to do.
    """

    __slots__ = ("_borrows", "_export", "_set", "_token", "_wait", "result")

    _tokens = HOME_TOKEN

    def __init__(self) -> None:
        self.result: Ok[Any] | Err[Any] | None = None
        self._token = 0
        self._set = 0

    def begin(self) -> None:
        """Runs the first step. Overridden by the kinds of call."""
        raise NotImplementedError

    def answer(self, result: Ok[Any] | Err[Any]) -> None:
        """Sets the result, and brings the call back when it is parked."""
        self.result = result
        if self._token:
            calls.wake(self._token)

    def first_poll(self, export: int, borrows: int) -> int:
        self.begin()
        if self.result is None or loop._ready or loop._held:
            if loop.turn():
                loop.call_home()
        elif loop._scheduled:
            loop._arm()
            if loop._ready:
                loop.call_home()
        if self.result is not None:
            runtime.call_task_return(export, borrows, self.result)
            return EXIT
        self._export = export
        self._borrows = borrows
        return self._park()

    def _park(self) -> int:
        Call._tokens += 1
        self._token = Call._tokens
        self._set = runtime.waitable_set_new()
        waitable, self._wait = _park(self._token)
        runtime.waitable_join(waitable, self._set)
        runtime.context_set(self)
        return WAIT | (self._set << 4)

    def resume(self, waitable: int, payload: int) -> int:
        """Returns the result: the wait for `wake` has ended."""
        runtime.waitable_join(waitable, 0)
        runtime.subtask_drop(waitable)
        runtime.promise_get_result(payload, self._wait)
        runtime.waitable_set_drop(self._set)
        runtime.call_task_return(self._export, self._borrows, self.result)
        return EXIT


class CoroutineCall(Call):
    """A call that is one coroutine, returned by the export as it is."""

    __slots__ = ("_coroutine", "_task")

    def __init__(self, coroutine: Any) -> None:
        super().__init__()
        self._coroutine = coroutine

    def begin(self) -> None:
        self._task = start_task(self._run())

    async def _run(self) -> None:
        try:
            result: Ok[Any] | Err[Any] = Ok(await self._coroutine)
        except Err as error:
            result = error
        self.answer(result)


base_context = contextvars.copy_context()


def start_task(coroutine: Any) -> asyncio.Task[Any]:
    """Starts a task in a context of its own and runs its first step at once."""
    return asyncio.Task(coroutine, loop=loop, context=base_context.copy(), eager_start=True)


class HomeCall:
    """What `lifecycle.run` returns: this export becomes the home."""


def _first_poll(export: int, borrows: int, call: Any) -> int:
    if isinstance(call, Call):
        return call.first_poll(export, borrows)
    if isinstance(call, HomeCall):
        global _home_export
        _home_export = (export, borrows)
        return _leave_home(loop.start_home())
    return CoroutineCall(call).first_poll(export, borrows)


_home_export = (0, 0)


def _leave_home(code: int) -> int:
    if code == EXIT:
        runtime.call_task_return(*_home_export, Ok(None))
    return code


def _callback(event: int, waitable: int, payload: int) -> int:
    task = runtime.context_get()
    runtime.context_set(None)
    if task is not _HOME:
        return task.resume(waitable, payload)
    loop._home_waiting = False
    if event != EVENT_NONE:
        loop.deliver(waitable, event == EVENT_SUBTASK, payload)
    return _leave_home(loop.continue_home())


async def _await_result(result: Any) -> Any:
    if isinstance(result, Ok):
        return result.value
    waitable, promise = result.value
    if _parking:
        return await _hand_over((waitable, promise))
    payload = await loop.watch(waitable, promise)
    return runtime.promise_get_result(payload, promise)


@types.coroutine
def _hand_over(value: Any) -> Any:
    return (yield value)


_parking = False


def _park(token: int) -> tuple[int, Any]:
    """Starts the wait of a call for `token`; returns its waitable and its promise.

    Unlike every other wait this one belongs to the call, not to the home.
    """
    global _parking
    _parking = True
    waiting = calls.park(token)
    try:
        return waiting.send(None)
    finally:
        _parking = False
        waiting.close()


support.first_poll = _first_poll
support.callback = _callback
support.await_result = _await_result


def install() -> None:
    """Makes this loop the running loop of the one thread there is."""
    loop._thread_id = threading.get_ident()
    asyncio.set_event_loop(loop)
    asyncio.events._set_running_loop(loop)
    sys.set_asyncgen_hooks(
        firstiter=loop._asyncgen_firstiter_hook, finalizer=loop._asyncgen_finalizer_hook
    )


install()
