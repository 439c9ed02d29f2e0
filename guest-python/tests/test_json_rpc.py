"""The JSON-RPC surface of agents that are only functions: what no function answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from par_guest.json_rpc import JsonRpc, Skills

CARD = {"name": "n", "description": "d", "version": "1"}


def ask(app: JsonRpc, path: str, body: Any, method: str = "POST") -> tuple[int, Any]:
    """The status and the body of one exchange."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": f"/below{path}", "root_path": "/below"}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(part["body"] for part in sent[1:]))


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


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes"])
def test_what_json_cannot_say_is_the_functions_error(value: object) -> None:
    status, answer = ask(app(chat=lambda _: value), "/", {"id": 1, "method": "chat"})
    assert (status, answer["error"]["code"]) == (200, -32000)
    assert "not JSON serializable" in answer["error"]["message"]


def test_arguments_are_the_callers_alone() -> None:
    seen: list[Any] = []
    params = {
        "message": {"metadata": {"params": {"a": 1}}, "parts": [{"kind": "text", "text": "t"}]}
    }
    ask(app(chat=seen.append), "/", {"id": 1, "method": "message/send", "params": params})
    ask(app(chat=seen.append), "/", {"id": 1, "method": "message/send", "params": [1]})
    ask(app(chat=seen.append), "/", {"id": 1, "method": "message/send", "params": {"message": 5}})
    assert seen == [{"a": 1, "message": "t"}, {}, {}]
