"""Recognises what kind of web application an object is and makes it ASGI 3.

Decided by looking, never by trying: an application that is called by accident may do
anything. Only a function without parameters is called, because that is what a factory is.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from par_guest import wsgi
from par_guest.loading import LoadFailure, call_at_load, signature_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

#: How REST or UI is served; the names of `agent-description` in the WIT.
Kind = Literal["asgi", "wsgi", "router"]

#: An app may be wrapped in a factory and a server object, never in an endless chain of them.
_MOST_WRAPPERS = 4


@dataclass(frozen=True)
class Application:
    """One application, ready to be called as ASGI 3 whatever it was written as."""

    kind: Kind
    asgi: AsgiApp
    #: The object behind it: the agent's own, or the FastAPI app its routes were put into.
    original: Any


def adapt(found: Any, name: str) -> Application:
    """Makes an application of what `name` refers to.

    Accepts ASGI 3 and ASGI 2 applications, WSGI applications, a FastAPI `APIRouter`, a
    function without parameters that returns one of these, and an object that carries one as
    `.app` or makes one by `.build()`. Raises [`LoadFailure`] with `wrong-shape` otherwise.
    """
    for _ in range(_MOST_WRAPPERS):
        application = recognise(found)
        if application is not None:
            return application
        found = _unwrap(found, name)
    raise LoadFailure("wrong-shape", f"`{name}` wraps its application too many times")


def recognise(found: Any) -> Application | None:
    """The application `found` is, or `None` when it is none (it may still make one)."""
    if is_router(found):
        app = _app_around(found)
        return Application("router", app, app)
    if not callable(found):
        return None
    match calling_convention(found):
        case "asgi3":
            return Application("asgi", found, found)
        case "asgi2":
            return Application("asgi", _from_asgi2(found), found)
        case "wsgi":
            return Application("wsgi", wsgi.as_asgi(found), found)
        case _:
            return None


def is_router(found: Any) -> bool:
    """Whether this is a FastAPI `APIRouter`; it needs an app around it to be served."""
    routing = sys.modules.get("fastapi.routing")
    return routing is not None and isinstance(found, routing.APIRouter)


def calling_convention(found: Any) -> Literal["asgi3", "asgi2", "wsgi", "factory", None]:
    """How a callable wants to be called, judged by its parameters."""
    parameters = required_parameters(found)
    if parameters is None:
        # `*args` hides the parameters; wrappers of ASGI applications are asynchronous.
        return "asgi3" if _is_async(found) else None
    if inspect.isclass(found):
        return _class_convention(found, parameters)
    match len(parameters):
        case 0:
            return "factory"
        case 1:
            return "asgi2" if parameters[0] == "scope" else None
        case 2:
            return None if _is_async(found) else "wsgi"
        case 3:
            return "asgi3"
        case _:
            return None


def required_parameters(found: Any) -> list[str] | None:
    """Names of the positional parameters without a default; `None` when they are hidden."""
    signature = signature_of(found)
    if signature is None:
        return None
    parameters = signature.parameters.values()
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return ["", "", "", ""]  # nothing here is ever called with keywords
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in positional if p.default is p.empty]
    hidden = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return None if hidden and not required else required


def _class_convention(
    found: type, parameters: list[str]
) -> Literal["asgi3", "asgi2", "wsgi", "factory", None]:
    if not parameters:
        return "factory"
    if len(parameters) == 1 and len(required_parameters(found.__call__) or ()) == 3:
        return "asgi2"  # __call__(self, receive, send), the instance holds the scope
    if len(parameters) == 3 and hasattr(found, "__await__"):
        return "asgi3"
    if len(parameters) == 2 and hasattr(found, "__iter__"):
        return "wsgi"
    return None


def _is_async(found: Any) -> bool:
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(
        getattr(found, "__call__", None)  # noqa: B004 - the method itself is wanted
    )


def _unwrap(found: Any, name: str) -> Any:
    """What a factory returns or a server object carries."""
    if callable(found) and calling_convention(found) == "factory":
        made = call_at_load(found, name)
        if made is None:
            raise LoadFailure("wrong-shape", f"`{name}` takes no argument and returned nothing")
        return made
    carried = _carried(found, name)
    if carried is not None:
        return carried
    raise LoadFailure("wrong-shape", _not_an_application(found, name))


def _carried(found: Any, name: str) -> Any:
    if inspect.isclass(found) or inspect.isfunction(found) or inspect.ismodule(found):
        return None
    build = getattr(found, "build", None)
    if callable(build) and required_parameters(build) == []:
        return call_at_load(build, f"{name}.build")
    # Reading `.app` may build the application, so it is treated as a call.
    return call_at_load(lambda: getattr(found, "app", None), f"{name}.app")


def _not_an_application(found: Any, name: str) -> str:
    shape = f"a `{type(found).__name__}`"
    if inspect.isclass(found):
        shape = f"the class `{found.__name__}`"
    elif callable(found):
        parameters = required_parameters(found)
        if parameters and parameters[0]:
            shape = f"a function of ({', '.join(parameters)})"
    return (
        f"`{name}` is {shape}; expected an ASGI application (scope, receive, send), "
        "a WSGI application (environ, start_response), or a function without parameters "
        "that returns one"
    )


def _from_asgi2(app: Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]) -> AsgiApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return call


def _app_around(router: Any) -> Any:
    from par_guest.mounting import new_app

    app = new_app()
    app.include_router(router)
    return app
