"""The functions `initialize`, `startup` and `shutdown` of older agents.

They are called only where that is unambiguous: functions that the module of the mount
function defines itself and has not given to anybody else to call.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from par_guest.applications import required_parameters
from par_guest.loading import LoadFailure, describe

logger = logging.getLogger("par_guest.hooks")

#: In the order of their calls; `shutdown` comes at the end of the agent's life.
_AT_START = ("initialize", "startup")
_AT_STOP = ("shutdown",)


class Hooks:
    """The hook functions of one module; false when it has none."""

    def __init__(self, functions: dict[str, Callable[..., Any]], app: Any) -> None:
        self._functions = functions
        self._app = app

    def __bool__(self) -> bool:
        return bool(self._functions)

    @property
    def names(self) -> list[str]:
        """Names of the functions that will be called."""
        return list(self._functions)

    async def startup(self) -> None:
        """Calls `initialize()` and `startup(app)`; raises [`LoadFailure`] when one fails."""
        for name in _AT_START:
            try:
                await self._call(name)
            except Exception as error:
                raise LoadFailure.from_exception(
                    "startup-failed", f"the agent's `{name}` failed", error
                ) from error

    async def shutdown(self) -> None:
        """Calls `shutdown()`; a failure is logged, the agent ends anyway."""
        for name in _AT_STOP:
            try:
                await self._call(name)
            except Exception as error:
                logger.exception("the agent's `%s` failed: %s", name, describe(error))

    async def _call(self, name: str) -> None:
        function = self._functions.get(name)
        if function is None:
            return
        arguments = [self._app] if required_parameters(function) else []
        try:
            result = function(*arguments)
            if inspect.isawaitable(result):
                await result
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"it raised {error!r}") from error


def find(module: ModuleType, app: Any) -> Hooks:
    """The hooks of the mount function's module for the FastAPI app it filled."""
    taken = list(_given_away(app))
    functions = {}
    for name in (*_AT_START, *_AT_STOP):
        function = vars(module).get(name)
        if _is_hook(function, module) and not any(function is other for other in taken):
            functions[name] = function
    return Hooks(functions, app)


def _is_hook(function: Any, module: ModuleType) -> bool:
    if not inspect.isfunction(function) or function.__module__ != module.__name__:
        return False
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return False  # a lifespan or a dependency
    parameters = required_parameters(function)
    return parameters is not None and len(parameters) <= 1


def _given_away(app: Any) -> Iterable[Any]:
    """The functions the app itself calls: event handlers, endpoints."""
    router = getattr(app, "router", None)
    yield from getattr(router, "on_startup", ())
    yield from getattr(router, "on_shutdown", ())
    for route in getattr(router, "routes", ()):
        yield getattr(route, "endpoint", None)
