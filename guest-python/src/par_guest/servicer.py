"""An agent's own gRPC servicer as an answer to every action.

Agents may subclass `AgentServiceServicer`, or build a server and add a servicer to it. PAR
serves the port itself; it calls their `Invoke` with the messages it would have received.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

Invoke = Callable[[Any, Any], Any]

#: Where `Invoke` is found in a server that a servicer was added to.
_INVOKE_PATH = "/pixell.agent.AgentService/Invoke"


class ServicerRefused(RuntimeError):
    """The servicer reported a failure: an unsuccessful result or a status."""


def invoke_method(service: Any) -> Invoke | None:
    """The `Invoke` of a servicer or of a server it was added to; `None` without one."""
    invoke = getattr(service, "Invoke", None)
    if callable(invoke):
        return invoke
    registered = getattr(service, "registered_methods", None)
    if isinstance(registered, Mapping):
        handler = registered.get(_INVOKE_PATH)
        return getattr(handler, "unary_unary", None)
    return None


def invoke_servicer(invoke: Invoke) -> Callable[[str, Mapping[str, Any]], Awaitable[str]]:
    """Runs an action through the servicer's `Invoke` and returns its result as text."""

    async def run(action: str, parameters: Mapping[str, Any]) -> str:
        context = CallContext()
        result = invoke(_request(action, parameters), context)
        if inspect.isawaitable(result):
            result = await result
        context.raise_for_status()
        success = getattr(result, "success", None)
        if success is None:
            return str(result)
        if not success:
            raise ServicerRefused(str(getattr(result, "error", "")))
        return str(getattr(result, "result", ""))

    return run


def _request(action: str, parameters: Mapping[str, Any]) -> Any:
    # Imported here: the stand-ins are on the path of the guest, not of every host Python.
    from pixell_runtime.proto import agent_pb2

    text = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in parameters.items()
    }
    return agent_pb2.ActionRequest(action=action, parameters=text)


class CallContext:
    """The part of `grpc.ServicerContext` a servicer may use without a connection."""

    def __init__(self) -> None:
        self._code: Any = None
        self._details = ""

    def set_code(self, code: Any) -> None:
        """Sets the status of the call; anything but OK makes it fail."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Sets the text that goes with the status."""
        self._details = details

    def code(self) -> Any:
        """The status that was set, `None` before."""
        return self._code

    def details(self) -> str:
        """The text that was set, empty before."""
        return self._details

    def abort(self, code: Any, details: str = "", _metadata: Any = ()) -> NoReturn:
        """Ends the call with a status."""
        raise ServicerRefused(details or _status_name(code))

    def abort_with_status(self, status: Any) -> NoReturn:
        """Ends the call with a status object."""
        self.abort(getattr(status, "code", None), getattr(status, "details", ""))

    def invocation_metadata(self) -> tuple[()]:
        """Nothing: what the caller's connection carried stays with the host."""
        return ()

    def peer(self) -> str:
        """The caller as PAR lets the agent see it."""
        return "par"

    def is_active(self) -> bool:
        """Whether somebody still waits for the answer."""
        return True

    def time_remaining(self) -> None:
        """The host keeps the deadline; there is none the agent could ask for."""
        return

    def add_callback(self, _callback: Callable[[], None]) -> bool:
        """Refused: there is no end of the call to be told of."""
        return False

    def cancel(self) -> None:
        """Nothing to cancel."""

    def send_initial_metadata(self, _metadata: Any) -> None:
        """Dropped: the answer carries no metadata."""

    def set_trailing_metadata(self, _metadata: Any) -> None:
        """Dropped: the answer carries no metadata."""

    def raise_for_status(self) -> None:
        """Raises when the servicer set a status other than OK."""
        if self._code is not None and _status_name(self._code) != "OK":
            raise ServicerRefused(self._details or _status_name(self._code))


def _status_name(code: Any) -> str:
    return str(getattr(code, "name", code))
