"""The exports of the component, as componentize-py looks them up: one class an interface.

Each is thin: it turns the types of the world into those of the modules that do the work.
Nothing may be raised out of here but `Err`, or the instance is lost.
"""

from __future__ import annotations

import functools
import gc
import json
import sys
from typing import Any

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import lifecycle as world
from wit_world.exports.actions import Parameters_Json
from wit_world.exports.http import Surface
from wit_world.imports import calls, log
from wit_world.imports.failure import Failure, Reason

from par_guest import (
    a2a_http,
    actions,
    logs,
    outbound,
    output,
    platform_fixes,
    rest,
    restoring,
    versions,
)
from par_guest.asgi import HttpCall, background_work
from par_guest.context import current_call
from par_guest.failures import failure_of, load_failure
from par_guest.lifespan import Lifespan
from par_guest.loading import LoadFailure, use_python_path
from par_guest.loop import HomeCall, loop
from par_guest.replacing import replace_everywhere

# Where a deps layer keeps its packages: it has the layout of a virtual environment.
SITE_PACKAGES = "/deps/lib/python3.14/site-packages"

# Collections every few requests cost more than the cycles they find: a request leaves few,
# and what was loaded is frozen out of every collection.
GC_THRESHOLD = 20_000

# At build time, when all platform libraries are in memory; later imports find it done.
platform_fixes.apply()
replace_everywhere(outbound.apply())
replace_everywhere(output.apply())
versions.remember()

_LEVELS = {level.name.lower(): level for level in log.Level}


class _Agent:
    """What `load` made of the package."""

    def __init__(self) -> None:
        self.rest: rest.Served | None = None
        self.ui: rest.Served | None = None
        self.a2a: rest.Served | None = None
        self.actions = actions.Actions()
        self.lifespans: list[Lifespan] = []


_agent = _Agent()


class Lifecycle(exports.Lifecycle):
    """`lifecycle`: load, run, start, stop."""

    def load(self, spec: world.AgentSpec) -> world.AgentDescription:
        try:
            return _load(spec)
        except LoadFailure as error:
            raise Err(load_failure(error)) from None
        except BaseException as error:
            raise Err(failure_of(error, Reason.IMPORT_FAILED)) from None

    def run(self) -> HomeCall:
        restoring.after_restore()
        return HomeCall()

    async def start(self) -> None:
        for lifespan in _agent.lifespans:
            try:
                await lifespan.startup()
            except LoadFailure as error:
                raise Err(load_failure(error)) from None
            except BaseException as error:
                raise Err(failure_of(error, Reason.STARTUP_FAILED)) from None

    async def stop(self) -> None:
        try:
            await background_work()
            for lifespan in reversed(_agent.lifespans):
                await lifespan.shutdown()
        except BaseException as error:
            raise Err(failure_of(error)) from None
        finally:
            # Only after this call has returned its result may the home end.
            loop.call_soon(loop.stop_home)


class Http(exports.Http):
    """`http`: one request."""

    def handle(self, request: Any) -> Any:
        served = _agent.rest if request.surface is Surface.REST else _other(request.surface)
        if served is None:
            return _refuse("the agent has no such surface")
        return HttpCall(served.asgi, request, served.lifespan.state)


class Actions(exports.Actions):
    """`actions`: one action."""

    async def invoke(self, request: Any) -> str:
        current_call.set(request.id)
        try:
            parameters = request.parameters
            if isinstance(parameters, Parameters_Json):
                values = json.loads(parameters.value)
            else:
                values = dict(parameters.value)
            gone = functools.partial(calls.ended, request.id)
            return await _agent.actions.invoke(request.action, values, gone)
        except actions.ActionNotFound:
            raise Err(Failure(Reason.ACTION_NOT_FOUND, request.action, "")) from None
        except BaseException as error:
            raise Err(failure_of(error)) from None


def _other(surface: Surface) -> rest.Served | None:
    return _agent.ui if surface is Surface.UI else _agent.a2a


async def _refuse(message: str) -> Any:
    raise Err(Failure(Reason.PROTOCOL, message, ""))


def _load(spec: world.AgentSpec) -> world.AgentDescription:
    restoring.after_restore()
    logs.install(_emit)
    # What is imported stays: looking for cycles in it every few thousand objects finds none.
    gc.set_threshold(GC_THRESHOLD)
    paths = [*spec.python_path, SITE_PACKAGES]
    use_python_path(paths)
    if gone := versions.make_way(SITE_PACKAGES):
        platform_fixes.apply_again(gone)

    warnings: list[str] = []
    if spec.rest is not None:
        entry = rest.mount if isinstance(spec.rest, world.RestEntry_Mount) else rest.application
        _agent.rest = entry(spec.rest.value, paths)
        _agent.lifespans.append(_agent.rest.lifespan)
    if spec.ui is not None:
        _agent.ui = rest.application(spec.ui, paths)
        _add_lifespan(_agent.ui, _agent.rest)
    if spec.a2a is not None:
        card = {"name": spec.name, "version": spec.version, "description": spec.description}
        _agent.a2a = a2a_http.load(spec.a2a.entry, spec.a2a.port, card, paths)
        _add_lifespan(_agent.a2a, _agent.rest, _agent.ui)
    if spec.actions is not None:
        _agent.actions = actions.load(spec.actions, paths)
        warnings.extend(_agent.actions.warnings)

    gc.collect()
    gc.freeze()
    return world.AgentDescription(
        rest=_agent.rest.kind if _agent.rest else "",
        ui=_agent.ui.kind if _agent.ui else "",
        a2a=_agent.a2a.kind if _agent.a2a else "",
        actions=_agent.actions.names,
        lifespan=any(lifespan.wanted for lifespan in _agent.lifespans),
        modules=len(sys.modules),
        warnings=warnings,
    )


def _add_lifespan(served: rest.Served, *before: rest.Served | None) -> None:
    """One application may serve several surfaces; it is started and stopped once."""
    if not any(other is not None and other.asgi is served.asgi for other in before):
        _agent.lifespans.append(served.lifespan)


def _emit(level: str, logger: str, message: str, traceback: str | None, call: int | None) -> None:
    log.emit(log.Entry(_LEVELS[level], logger, message, traceback, call))
