"""The JSON-RPC surface of an agent that is only functions by name: an ASGI application.

This is the form the platform's callers of agents over HTTP speak, which is older than the
A2A standard: one request, one result, or server-sent events about one task.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from par_guest.applications import Message, Receive, Scope, Send

logger = logging.getLogger("par_guest.a2a")

_PARSE_ERROR, _INVALID, _NOT_FOUND, _INVALID_PARAMS, _FAILED = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32000,
)

#: Methods that name the function they want in the message's metadata.
_MESSAGES = ("message/send", "tasks/send", "tasks/sendSubscribe")

#: What answers when no function has the name that was asked for, first come first.
_FALLBACKS = ("chat", "default")

_CARD = ("/.well-known/agent.json", "/a2a/.well-known/agent.json")
_CALL = ("/", "/a2a")
_STREAM = ("/stream", "/a2a/stream")
_HEALTH = "/health"


@dataclass(frozen=True)
class Skills:
    """The functions of the agent by name."""

    #: Answer with one value.
    plain: Mapping[str, Callable[..., Any]]
    #: Answer with one event after the other.
    streaming: Mapping[str, Callable[..., Any]]


class _Wrong(Exception):
    """What a JSON-RPC error says, and the id of its request where there is one."""

    def __init__(self, code: int, message: str, number: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.number = code, message, number


class JsonRpc:
    """The application."""

    def __init__(self, card: Mapping[str, str], skills: Skills) -> None:
        self._card = card
        self._skills = skills

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3; of its scopes only `http` means anything here."""
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
            await self._answer(scope["method"], path, receive, send)

    async def _answer(self, method: str, path: str, receive: Receive, send: Send) -> None:
        reads = path in _CARD or path == _HEALTH
        if not reads and path not in _CALL and path not in _STREAM:
            await _json(send, 404, {"detail": "Not Found"})
        elif method not in (("GET", "HEAD") if reads else ("POST",)):
            await _refuse_method(send, "GET, HEAD" if reads else "POST")
        elif reads:
            healthy = {"ok": True, "status": "healthy"}
            await _json(send, 200, healthy if path == _HEALTH else self._description())
        elif path in _CALL:
            await self._call(await _body(receive), send)
        else:
            await self._stream(await _body(receive), send)

    def _description(self) -> dict[str, Any]:
        modes = {"inputModes": ["text"], "outputModes": ["text"]}
        names = dict.fromkeys([*self._skills.plain, *self._skills.streaming])
        skills = [
            {"id": name, "name": name, "description": f"Execute {name} action", **modes}
            for name in names
        ]
        return {
            **{key: self._card[key] for key in ("name", "description", "version")},
            "capabilities": {"streaming": bool(self._skills.streaming), "pushNotifications": False},
            "defaultInputModes": ["text"],
            "defaultOutputModes": ["text"],
            "skills": skills,
        }

    async def _call(self, body: bytes, send: Send) -> None:
        number = None
        try:
            number, method, params = _request(body)
            function, arguments = _wanted(number, method, params, self._skills.plain)
            result = function(arguments)
            if inspect.isawaitable(result):
                result = await result
            # Only what JSON can say is an answer; the rest is the function's mistake.
            answer = {"jsonrpc": "2.0", "result": json.loads(_dumps(result)), "id": number}
        except _Wrong as wrong:
            answer = _error(wrong.code, wrong.message, wrong.number)
        except Exception as error:
            logger.exception("a function of the agent raised")
            answer = _error(_FAILED, str(error), number)
        await _json(send, 200, answer)

    async def _stream(self, body: bytes, send: Send) -> None:
        number = None
        try:
            number, method, params = _request(body)
            if not self._skills.streaming:
                error = _error(_NOT_FOUND, "Streaming not supported", number)
                await _json(send, 400, error)
                return
            function, arguments = _wanted(number, method, params, self._skills.streaming)
        except _Wrong as wrong:
            await _json(send, 200, _error(wrong.code, wrong.message, wrong.number))
            return
        task = str(params.get("id") or params.get("taskId") or uuid.uuid4())
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for event in _events(function(arguments)):
                await _event(send, task, _status(event))
            await _event(send, task, {"state": "completed", "final": True})
        except Exception as error:
            logger.exception("a streaming function of the agent raised")
            failed = {"code": _FAILED, "message": str(error)}
            await _event(send, task, {"state": "failed", "error": failed})
        await send({"type": "http.response.body", "body": b""})


def _request(body: bytes) -> tuple[Any, str, dict[str, Any]]:
    """Id, method and parameters of a request.

    Callers that leave `jsonrpc` out are older than those who say another version than they speak.
    """
    try:
        request = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise _Wrong(_PARSE_ERROR, "Parse error") from None
    if not isinstance(request, dict):
        raise _Wrong(_INVALID, "Invalid Request")
    number, method, params = (request.get(key) for key in ("id", "method", "params"))
    if isinstance(number, bool) or not isinstance(number, (str, int, float, type(None))):
        raise _Wrong(_INVALID, "Invalid Request")
    if request.get("jsonrpc", "2.0") != "2.0" or not isinstance(method, str):
        raise _Wrong(_INVALID, "Invalid Request", number)
    if not isinstance(params, (dict, list, type(None))):
        raise _Wrong(_INVALID_PARAMS, "Invalid params", number)
    return number, method, params if isinstance(params, dict) else {}


def _no_number(text: str) -> float:
    """`NaN` and `Infinity`, which Python reads and writes, and JSON does not have."""
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _wanted(
    number: Any, method: str, params: dict[str, Any], functions: Mapping[str, Callable[..., Any]]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function a request wants, and what it is called with."""
    if method in _MESSAGES:
        message = _mapping(params.get("message"))
        metadata = _mapping(message.get("metadata"))
        skill = metadata.get("skill") or "chat"
        arguments = dict(_mapping(metadata.get("params")))
        text = _text(message)
        if text is not None:
            arguments["message"] = text
    else:
        skill = params.get("skill") or method.rpartition("/")[2]
        inner = params.get("params")
        arguments = dict(inner if isinstance(inner, dict) else params)
    if not isinstance(skill, str):
        raise _Wrong(_INVALID_PARAMS, "Invalid params", number)
    for name in (skill, *_FALLBACKS):
        if name in functions:
            return functions[name], arguments
    raise _Wrong(_NOT_FOUND, f"Method not found: {skill}", number)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(message: dict[str, Any]) -> str | None:
    parts = message.get("parts")
    for part in parts if isinstance(parts, list) else []:
        # Newer callers say `kind` where older ones say `type`.
        if isinstance(part, dict) and "text" in (part.get("type"), part.get("kind")):
            return part.get("text")
    return None


async def _events(result: Any) -> AsyncIterator[Any]:
    """One event after the other, whatever kind of iterable the function returned."""
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        async for event in result:
            yield event
    elif hasattr(result, "__iter__") and not isinstance(result, (str, bytes, Mapping)):
        for event in result:
            yield event
    else:
        yield result


def _status(event: Any) -> dict[str, Any]:
    """How a caller sees one event of a task."""
    if not isinstance(event, Mapping):
        return _working(str(event))
    match event.get("type"):
        case "complete" | "done":
            return {"state": "completed", "metadata": event.get("metadata") or {}}
        case "error":
            message = _said(event, "message", "error", "content", "text")
            return {"state": "failed", "error": {"code": _FAILED, "message": message}}
        case "thinking":
            status = _working(_said(event, "content", "text", "message"))
            status["message"]["metadata"] = {"thinking": True}
            return status
        case _:
            return _working(_said(event, "content", "text", "message"))


def _said(event: Mapping[str, Any], *keys: str) -> str:
    found = next((event[key] for key in keys if event.get(key) is not None), "")
    return found if isinstance(found, str) else _dumps(found)


def _working(text: str) -> dict[str, Any]:
    message = {"role": "agent", "parts": [{"type": "text", "text": text}]}
    return {"state": "working", "message": message}


def _error(code: int, message: str, number: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": number}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _encoded(text: str) -> bytes:
    """JSON in UTF-8. Half of a surrogate pair, which UTF-8 does not have, stays escaped."""
    return re.sub(r"[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text).encode()


async def _event(send: Send, task: str, status: dict[str, Any]) -> None:
    params = {"taskId": task, "status": status}
    event = {"jsonrpc": "2.0", "method": "tasks/status", "params": params}
    data = _encoded(f"data: {_dumps(event)}\n\n")
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the caller left before the request was complete")
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _refuse_method(send: Send, allowed: str) -> None:
    await _json(send, 405, {"detail": "Method Not Allowed"}, [(b"allow", allowed.encode())])


async def _json(
    send: Send, status: int, value: Any, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = _encoded(_dumps(value))
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
