"""A request as applications see it, and the head of a response as the host takes it."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from par_guest.scope import head_of, misplaced, scope_of

HEAD = (
    b"POST\x001.1\0https\0/a/\xc3\xb6\0/a/%C3%B6\0q=1\0/agents/one\0"
    b"10.0.0.1\x0040000\0agent.example\x00443\0host\0agent.example\0x-twice\x001\0x-twice\x002"
)


def test_a_head_becomes_a_scope():
    scope = scope_of(HEAD, None)

    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/a/ö",
        "raw_path": b"/a/%C3%B6",
        "query_string": b"q=1",
        "root_path": "/agents/one",
        "headers": [(b"host", b"agent.example"), (b"x-twice", b"1"), (b"x-twice", b"2")],
        "client": ("10.0.0.1", 40000),
        "server": ("agent.example", 443),
    }


def test_a_client_that_is_not_known_is_none():
    assert scope_of(HEAD.replace(b"10.0.0.1\x0040000", b"\0"), None)["client"] is None


def test_each_request_gets_a_copy_of_the_state():
    state = {"pool": object()}
    first, second = scope_of(HEAD, state), scope_of(HEAD, state)

    first["state"]["own"] = True

    assert second["state"] == state == {"pool": state["pool"]}
    assert "state" not in scope_of(HEAD, None)


def test_the_head_of_a_response_is_a_status_and_headers():
    headers = [(b"a", b"1"), (b"b", b"2")]
    assert head_of({"status": HTTPStatus.CREATED, "headers": headers}) == (201, b"a\x001\0b\x002")
    assert head_of({"status": 204}) == (204, b"")


@pytest.mark.parametrize("status", [99, 1000, -200])
def test_what_is_no_status_is_refused(status):
    with pytest.raises(ValueError, match=f"`{status}` is not an HTTP status"):
        head_of({"status": status})


def test_headers_that_are_no_bytes_are_refused():
    with pytest.raises(TypeError):
        head_of({"status": 200, "headers": [("a", "1")]})


def test_a_misplaced_message_is_named():
    with pytest.raises(RuntimeError, match=r"unexpected ASGI message `http\.response\.start`"):
        misplaced("http.response.start")
