"""The JSON-RPC surface of agents that are only functions: what no function answers."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from par_guest.json_rpc import JsonRpc, Skills

CARD = {"name": "n", "description": "d", "version": "1"}


def ask(app: JsonRpc, path: str, body: Any, method: str = "POST") -> tuple[int, Any]:
    """The status and the body of one exchange."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return {"type": "http.request", "body": text}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": f"/below{path}", "root_path": "/below"}
    asyncio.run(app(scope, receive, send))
    text = b"".join(part["body"] for part in sent[1:])
    return sent[0]["status"], json.loads(text, parse_constant=_no_json)


def _no_json(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def app(**plain: Any) -> JsonRpc:
    return JsonRpc(CARD, Skills(plain, {}))


def test_a_function_nobody_has_is_not_found() -> None:
    request = {"id": "x", "method": "tasks/other"}
    status, answer = ask(app(known=lambda _: 1), "/", request)
    assert (status, answer["error"]) == (
        200,
        {"code": -32601, "message": "Method not found: other"},
    )
    assert answer["id"] == "x"

    assert ask(app(other=lambda _: 1), "/", request)[1]["result"] == 1
    assert ask(app(default=lambda _: 2), "/", request)[1]["result"] == 2
    assert ask(app(default=lambda _: 2, chat=lambda _: 3), "/", request)[1]["result"] == 3


def test_streaming_without_functions_that_stream_is_refused() -> None:
    status, answer = ask(app(chat=lambda _: 1), "/a2a/stream", {"id": 1, "method": "chat"})
    assert (status, answer["error"]["code"]) == (400, -32601)
    assert ask(app(chat=lambda _: 1), "/a2a", {"id": 1, "method": "chat"})[1]["result"] == 1


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", float("nan"), [float("-inf")]])
def test_what_json_cannot_say_is_the_functions_error(value: object) -> None:
    status, answer = ask(app(chat=lambda _: value), "/", {"id": 1, "method": "chat"})
    assert (status, answer["error"]["code"]) == (200, -32000)
    assert re.search("not JSON (serializable|compliant)", answer["error"]["message"])


@pytest.mark.parametrize(
    ("request_", "code", "number"),
    [
        (b"{", -32700, None),
        (b'{"id": 1, "method": "chat"} {}', -32700, None),
        (b'{"id": NaN, "method": "chat"}', -32700, None),
        (b'{"id": 1e400, "method": "chat"}', -32700, None),
        (b'{"id": ' + b"9" * 10_000 + b', "method": "chat"}', -32700, None),
        (b'{"id": "\xff", "method": "chat"}', -32700, None),
        (b'{"params": ' + b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (b'[{"id": 1, "method": "chat"}]', -32600, None),
        (b'{"id": 1}', -32600, 1),
        (b'{"id": 1, "method": 5}', -32600, 1),
        (b'{"jsonrpc": "1.0", "id": "a", "method": "chat"}', -32600, "a"),
        (b'{"jsonrpc": 2.0, "id": "a", "method": "chat"}', -32600, "a"),
        (b'{"id": [1], "method": "chat"}', -32600, None),
        (b'{"id": true, "method": "chat"}', -32600, None),
        (b'{"id": 1, "method": "chat", "params": "x"}', -32602, 1),
        (b'{"id": 1, "method": "chat", "params": {"skill": ["chat"]}}', -32602, 1),
    ],
)
def test_what_is_no_request_is_refused_and_calls_nothing(
    request_: bytes, code: int, number: object
) -> None:
    called: list[object] = []
    status, answer = ask(app(chat=called.append), "/", request_)
    assert (status, answer["error"]["code"], answer["id"]) == (200, code, number)
    assert called == []


@pytest.mark.parametrize(
    "number", [0, -7, 1.5, 10**100, "", "x" * 100_000, "\ud800", "\U0001f600\r\n", None]
)
def test_an_id_comes_back_as_it_was(number: object) -> None:
    status, answer = ask(app(chat=lambda _: "\udfff"), "/", {"id": number, "method": "chat"})
    assert (status, answer) == (200, {"jsonrpc": "2.0", "result": "\udfff", "id": number})


def test_arguments_are_the_callers_alone() -> None:
    seen: list[Any] = []
    params = {
        "message": {"metadata": {"params": {"a": 1}}, "parts": [{"kind": "text", "text": "t"}]}
    }
    ask(app(chat=seen.append), "/", {"id": 1, "method": "message/send", "params": params})
    ask(app(chat=seen.append), "/", {"id": 1, "method": "message/send", "params": [1]})
    ask(app(chat=seen.append), "/", {"id": 1, "method": "message/send", "params": {"message": 5}})
    assert seen == [{"a": 1, "message": "t"}, {}, {}]
