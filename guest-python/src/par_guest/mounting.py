"""The FastAPI app that `rest.entry: module:function` is handed.

Agents of different years were handed a router or an app, and use whichever they know:
decorators and `include_router` on both, `add_middleware`, `exception_handler`, `state` and
`mount` on the app, `prefix`, `tags` and `add_event_handler` on the router. They get a real
FastAPI app that passes on what only its router has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from par_guest.applications import (
    Application,
    adapt,
    is_router,
    recognise,
    required_parameters,
)
from par_guest.loading import LoadFailure, call_at_load, signature_of

if TYPE_CHECKING:
    from fastapi import FastAPI

#: What `/docs` and `/openapi.json` show, as the original runtime's did.
TITLE = "Pixell Agent Runtime"
VERSION = "0.1.0"

#: Names by which a mount function may ask for the app as a keyword.
_KEYWORDS = ("app", "router")


def new_app() -> FastAPI:
    """A FastAPI app without routes of its own besides its documentation."""
    # Imported here: an agent without FastAPI does not need FastAPI to be installed.
    from fastapi import FastAPI

    class AgentApp(FastAPI):
        """A FastAPI app that may also be used as the router it holds."""

        def __getattr__(self, name: str) -> Any:
            # Only called for what the app itself lacks.
            router = self.__dict__.get("router")
            if router is None or name.startswith("__"):
                raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`")
            return getattr(router, name)

    return AgentApp(title=TITLE, version=VERSION, **_without_telemetry(FastAPI))


def _without_telemetry(app_class: type[FastAPI]) -> dict[str, Any]:
    """Turns off what FastAPI would otherwise look up for each request (7 % of a small one).

    This app is PAR's, and the host measures it. An app the agent makes keeps its telemetry.
    """
    signature = signature_of(app_class)
    if signature is None or "telemetry" not in signature.parameters:
        return {}
    return {"telemetry": {"tracing": False, "metrics": False, "logs": False}}


def mount(entry: Any, name: str) -> Application:
    """Calls the mount function `entry` and returns the application it filled or made.

    `name` is how the manifest calls it. Also accepts a function without parameters that
    returns an app or a router, and an app or a router itself. Raises [`LoadFailure`] with
    `wrong-shape` when it is none of these and `startup-failed` when it raises.
    """
    if is_router(entry) or not callable(entry):
        return adapt(entry, name)
    call = _call_form(entry)
    if call is None:
        # Not a function of one app: a factory, or an application named directly.
        return _of_factory(entry, name)
    app = new_app()
    before = len(app.routes)
    returned = call_at_load(lambda: call(app), name)
    if returned is None or returned is app or len(app.routes) > before:
        return Application("router", app, app)
    return _of_returned(app, returned)


def _call_form(entry: Callable[..., Any]) -> Callable[[Any], Any] | None:
    """How to hand the app to the function; `None` when it does not take exactly one thing."""
    signature = signature_of(entry)
    if signature is None:
        return entry
    parameters = signature.parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    required = required_parameters(entry)
    if keywords:
        if len(keywords) == 1 and keywords[0] in _KEYWORDS:
            return lambda app: entry(**{keywords[0]: app})
        return None
    if required is None or (len(required) == 1 and required[0] != "scope"):
        return entry
    if not required:
        return _optional_call_form(entry, [p for p in parameters if p.default is not p.empty])
    return None


def _optional_call_form(
    entry: Callable[..., Any], optional: list[inspect.Parameter]
) -> Callable[[Any], Any] | None:
    """`mount(app=None)` is a mount function, `create_app(debug=False)` is a factory."""
    for parameter in optional:
        if parameter.name in _KEYWORDS:
            return lambda app: entry(**{parameter.name: app})
    return None


def _of_factory(entry: Callable[..., Any], name: str) -> Application:
    if recognise(entry) is None and required_parameters(entry):
        raise LoadFailure("wrong-shape", _not_mountable(entry, name))
    return adapt(entry, name)


def _of_returned(app: FastAPI, returned: Any) -> Application:
    """A mount function that ignored its app but returned one of its own, or a router."""
    if is_router(returned):
        app.include_router(returned)
        return Application("router", app, app)
    # What the original runtime did with anything else: nothing.
    own = recognise(returned)
    return own if own is not None else Application("router", app, app)


def _not_mountable(entry: Callable[..., Any], name: str) -> str:
    parameters = ", ".join(p for p in required_parameters(entry) or [] if p) or "keywords"
    return (
        f"`{name}` is a function of ({parameters}); expected one of (app), "
        "or one without parameters that returns an application"
    )
