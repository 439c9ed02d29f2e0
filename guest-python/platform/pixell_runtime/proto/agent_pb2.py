"""The messages of `pixell.agent`, with the fields the later runtime added."""

from pixell_runtime.proto._message import FLAG, INT64, TEXT, Field, Message

__all__ = [
    "A2AMessage",
    "ActionRequest",
    "ActionResult",
    "Capabilities",
    "Empty",
    "HealthStatus",
    "Pong",
]


class Empty(Message):
    """Nothing."""


class HealthStatus(Message):
    """Whether the agent is well."""

    FIELDS = {"ok": Field(1, FLAG), "message": Field(2, TEXT), "timestamp": Field(3, INT64)}


class Capabilities(Message):
    """What the agent can do."""

    FIELDS = {"methods": Field(1, TEXT, "list"), "metadata": Field(2, TEXT, "map")}


class A2AMessage(Message):
    """A JSON-RPC request in its A2A form."""

    FIELDS = {
        "jsonrpc": Field(1, TEXT),
        "id": Field(2, TEXT),
        "method": Field(3, TEXT),
        "params_json": Field(4, TEXT),
    }


class ActionRequest(Message):
    """An action to run."""

    FIELDS = {
        "action": Field(1, TEXT),
        "parameters": Field(2, TEXT, "map"),
        "request_id": Field(3, TEXT),
        "message": Field(4, None, A2AMessage),
    }


class ActionResult(Message):
    """What an action came to."""

    FIELDS = {
        "success": Field(1, FLAG),
        "result": Field(2, TEXT),
        "error": Field(3, TEXT),
        "request_id": Field(4, TEXT),
        "duration_ms": Field(5, INT64),
        "metadata": Field(6, TEXT, "map"),
    }


class Pong(Message):
    """The answer to a ping."""

    FIELDS = {"message": Field(1, TEXT), "timestamp": Field(2, INT64)}
