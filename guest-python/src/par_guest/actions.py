"""The agent's action handlers: what `a2a.service` returns, and how one is run.

The result of an action is Python's `str()` of what the handler returned, byte for byte:
callers of the original service parse it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from par_guest.loading import LoadFailure, call_at_load, resolve_any, signature_of
from par_guest.servicer import invoke_method, invoke_servicer

#: The functions of `a2a.service: module` without an attribute, oldest convention first.
DEFAULT_FUNCTIONS = ("create_grpc_server", "create_service")

Handler = Callable[[Mapping[str, Any]], Any]
Gone = Callable[[], Awaitable[None]]
CatchAll = Callable[[str, Mapping[str, Any]], Awaitable[str]]


class ActionNotFound(LookupError):
    """No action of that name is registered; the text is what callers of the service expect."""

    def __init__(self, action: str) -> None:
        super().__init__(f"No handler found for action: {action}")
        self.action = action


class ActionExited(RuntimeError):
    """A handler tried to end the process, which would end everybody else's calls."""


@dataclass(frozen=True)
class Actions:
    """The actions of one agent."""

    handlers: Mapping[str, Handler] = field(default_factory=dict)
    #: Answers every action no handler is registered for: an agent's own `Invoke`.
    catch_all: CatchAll | None = None
    #: Remarks for the boot log.
    warnings: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the registered actions, in the agent's order."""
        return list(self.handlers)

    async def invoke(
        self, action: str, parameters: Mapping[str, Any], gone: Gone | None = None
    ) -> str:
        """Runs one action in a context of its own and returns `str()` of its result.

        `gone` waits until nobody wants the result any more: its caller left, or its deadline has
        passed. Then the handler is cancelled, as it would be by a gRPC server of asyncio.

        Raises [`ActionNotFound`] when nothing is registered under the name, and whatever
        the handler raises.
        """
        handler = self.handlers.get(action)
        if handler is None and self.catch_all is None:
            raise ActionNotFound(action)
        # Each call gets its own dictionary: a handler may change what it was given.
        call = self._run(handler, action, dict(parameters))
        task = asyncio.get_running_loop().create_task(call, name=f"action {action}")
        if gone is not None:
            await _while_wanted(task, gone)
        return await task

    async def _run(self, handler: Handler | None, action: str, parameters: dict[str, Any]) -> str:
        try:
            if handler is None:
                return await self.catch_all(action, parameters)  # type: ignore[misc]
            result = handler(parameters)
            if inspect.isawaitable(result):
                result = await result
            return str(result)
        except (SystemExit, KeyboardInterrupt) as error:
            raise ActionExited(f"the handler of `{action}` raised {error!r}") from error


async def _while_wanted(task: asyncio.Task[str], gone: Gone) -> None:
    """Returns when the task has ended; cancels it when nobody wants its result."""
    # Most handlers are done after their first step, and nobody has to be watched for them.
    await asyncio.sleep(0)
    if task.done():
        return
    leaving = asyncio.ensure_future(gone())
    await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
    leaving.cancel()


def load(name: str, python_path: Iterable[str] = ()) -> Actions:
    """Calls the function that `a2a.service` names and registers what it returns.

    Raises [`LoadFailure`][par_guest.loading.LoadFailure] when it cannot be found or called,
    or when it returns handlers that cannot be called.
    """
    _, found = resolve_any(name, DEFAULT_FUNCTIONS, python_path)
    if inspect.isclass(found) or (callable(found) and not _carries_actions(found)):
        _refuse_parameters(found, name)
        found = call_at_load(found, name)
    return registered(found, name)


def registered(service: Any, name: str) -> Actions:
    """The actions in what the service function `name` returned."""
    if service is None:
        return Actions(warnings=(f"`{name}` returned nothing: no action is registered",))
    handlers = getattr(service, "custom_handlers", None)
    if isinstance(service, Mapping):
        return _of_mapping(service, name)
    if handlers is not None:
        return Actions(_checked(handlers, name))
    invoke = invoke_method(service)
    if invoke is not None:
        return Actions(catch_all=invoke_servicer(invoke))
    kind = type(service).__name__
    return Actions(
        warnings=(
            f"`{name}` returned a `{kind}` without `custom_handlers`: no action is registered",
        )
    )


def _carries_actions(found: Any) -> bool:
    return hasattr(found, "custom_handlers") or invoke_method(found) is not None


def _of_mapping(service: Mapping[Any, Any], name: str) -> Actions:
    if "custom_handlers" not in service:
        warnings = () if service else (f"`{name}` returned an empty dictionary of actions",)
        return Actions(_checked(service, name), warnings=warnings)
    warnings = ()
    if service.get("streaming_handlers"):
        warnings = (f"`streaming_handlers` of `{name}` are not served over gRPC",)
    return Actions(_checked(service["custom_handlers"] or {}, name), warnings=warnings)


def _checked(handlers: Any, name: str) -> dict[str, Handler]:
    if not isinstance(handlers, Mapping):
        kind = type(handlers).__name__
        raise LoadFailure(
            "wrong-shape",
            f"`custom_handlers` of `{name}` is a `{kind}`; expected a dictionary of functions",
        )
    for action, handler in handlers.items():
        if not isinstance(action, str):
            raise LoadFailure(
                "wrong-shape", f"`{name}` registers the action {action!r}; expected a string"
            )
        if not callable(handler):
            raise LoadFailure(
                "wrong-shape",
                f"action `{action}` of `{name}` is a `{type(handler).__name__}`; "
                "expected a function",
            )
    return dict(handlers)


def _refuse_parameters(function: Any, name: str) -> None:
    signature = signature_of(function)
    if signature is None:
        return  # called, and its own error is reported
    try:
        signature.bind()
    except TypeError:
        raise LoadFailure(
            "wrong-shape", f"`{name}` needs arguments; it is called without any"
        ) from None
