"""A2A over HTTP: from what `a2a.http_server` names to an application that can be served.

Agents bring an application of their own (the A2A SDK's, the Pixell SDK's `AgentServer`, any ASGI
app), or only functions by name; those get the JSON-RPC surface the platform's callers know.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from par_guest import rest
from par_guest.json_rpc import JsonRpc, Skills
from par_guest.loading import LoadFailure, call_at_load, resolve_any, signature_of

#: The function of `a2a.http_server: module` without an attribute.
_DEFAULTS = ("main",)

#: The keys of a service that is only functions.
_HANDLERS, _STREAMING = "custom_handlers", "streaming_handlers"


def load(
    name: str, port: int, card: Mapping[str, str], python_path: Iterable[str] = ()
) -> rest.Served:
    """The application that `a2a.http_server` names.

    `port` is for functions that want to know it; `card` holds name, version and description of
    the agent. Raises [`LoadFailure`][par_guest.loading.LoadFailure] for anything that
    is not one.
    """
    _, found = resolve_any(name, _DEFAULTS, python_path)
    if inspect.isfunction(found) and _wants_port(found):
        found = call_at_load(found, name, port=port)
    elif inspect.isfunction(found) and _takes_nothing(found):
        found = call_at_load(found, name)
    if isinstance(found, Mapping):
        return rest.served(_json_rpc(found, name, card), name)
    return rest.served(found, name)


def _wants_port(function: Callable[..., Any]) -> bool:
    signature = signature_of(function)
    if signature is None or "port" not in signature.parameters:
        return False
    others = (p for p in signature.parameters.values() if p.name != "port")
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in others
    )


def _takes_nothing(function: Callable[..., Any]) -> bool:
    signature = signature_of(function)
    return signature is not None and not any(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in signature.parameters.values()
    )


def _json_rpc(service: Mapping[str, Any], name: str, card: Mapping[str, str]) -> JsonRpc:
    known = {_HANDLERS, _STREAMING}
    if not known & service.keys():
        raise LoadFailure(
            "wrong-shape",
            f"`{name}` returned a dictionary without `{_HANDLERS}` and `{_STREAMING}`",
        )
    return JsonRpc(
        card,
        Skills(
            _functions(service.get(_HANDLERS), _HANDLERS, name),
            _functions(service.get(_STREAMING), _STREAMING, name),
        ),
    )


def _functions(found: Any, key: str, name: str) -> dict[str, Callable[..., Any]]:
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        kind = type(found).__name__
        raise LoadFailure("wrong-shape", f"`{key}` of `{name}` is a `{kind}`, not a dictionary")
    for action, function in found.items():
        if not callable(function):
            raise LoadFailure("wrong-shape", f"`{key}` of `{name}` has no function for `{action}`")
    return {str(action): function for action, function in found.items()}
