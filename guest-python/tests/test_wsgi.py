"""WSGI applications behind ASGI."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest

from par_guest import wsgi

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "query_string": b"",
    "headers": [],
    "server": ("agent.test", 80),
    "client": ("10.0.0.1", 5000),
    "http_version": "1.1",
    "scheme": "https",
    "root_path": "",
}


def exchange(app, requests=None, leaves_after=None, **scope):
    """All messages the application sends; the client may leave after so many."""
    incoming = list(requests or [{"type": "http.request", "body": b"", "more_body": False}])
    sent = []
    left = asyncio.Event()

    async def receive():
        if incoming:
            return incoming.pop(0)
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if len(sent) == leaves_after:
            left.set()

    asyncio.run(wsgi.as_asgi(app)(SCOPE | scope, receive, send))
    return sent


def simple(pieces):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces

    return app


def seen_environment(requests=None, **scope):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    exchange(app, requests, **scope)
    return seen


class Pieces:
    """An iterable that remembers that it was closed."""

    def __init__(self, *pieces):
        self._pieces = iter(pieces)
        self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self._pieces)
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def close(self):
        self.closed = True


def test_the_environment_is_that_of_the_pep():
    environ = seen_environment(
        path="/base/caf\u00e9",
        root_path="/base",
        query_string=b"a=1&b=%20",
        headers=[
            (b"host", b"agent.test"),
            (b"content-type", b"text/plain"),
            (b"x-many", b"1"),
            (b"x-many", b"2"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
        ],
    )

    assert environ["SCRIPT_NAME"] == "/base"
    assert environ["PATH_INFO"].encode("latin-1") == "/caf\u00e9".encode()
    assert environ["QUERY_STRING"] == "a=1&b=%20"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("agent.test", "80")
    assert environ["REMOTE_ADDR"] == "10.0.0.1"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert environ["HTTP_X_MANY"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_HOST"] == "agent.test"


@pytest.mark.parametrize(
    ("root_path", "path", "script_name", "path_info"),
    [
        ("", "/x", "", "/x"),
        ("/base", "/base/x", "/base", "/x"),
        ("/base", "/base", "/base", ""),
        ("/base", "/basement", "/base", "/basement"),
    ],
)
def test_the_path_is_split_where_the_agent_is_mounted(root_path, path, script_name, path_info):
    environ = seen_environment(root_path=root_path, path=path)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"proxy"])
def test_headers_that_pass_for_others_are_left_out(name):
    environ = seen_environment(headers=[(name, b"evil"), (b"x-fine", b"yes")])

    assert environ["HTTP_X_FINE"] == "yes"
    assert "evil" not in environ.values()


def test_a_body_in_pieces_is_complete_when_the_application_is_called():
    environ = seen_environment(
        [
            {"type": "http.request", "body": b"one ", "more_body": True},
            {"type": "http.request", "body": b"two", "more_body": False},
        ]
    )

    assert environ["wsgi.input"].read() == b"one two"
    assert environ["CONTENT_LENGTH"] == "7"


def test_a_client_that_leaves_while_it_sends_calls_nothing():
    sent = exchange(
        simple([b"never"]),
        [{"type": "http.request", "body": b"one", "more_body": True}, {"type": "http.disconnect"}],
    )

    assert sent == []


def test_a_complete_answer_is_one_message():
    sent = exchange(simple([b"a", b"b"]))

    assert sent == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain")],
        },
        {"type": "http.response.body", "body": b"ab", "more_body": False},
    ]


def test_an_iterator_is_sent_piece_by_piece_and_closed():
    pieces = Pieces(b"a", b"", b"b")

    sent = exchange(simple(pieces))

    assert [(m["body"], m["more_body"]) for m in sent[1:]] == [
        (b"a", True),
        (b"b", True),
        (b"", False),
    ]
    assert pieces.closed


def test_an_iterator_of_announced_length_ends_with_its_last_piece():
    pieces = Pieces(b"ab", b"", b"cd", b"")

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        return pieces

    assert [(m["body"], m["more_body"]) for m in exchange(app)[1:]] == [
        (b"ab", True),
        (b"cd", False),
    ]
    assert pieces.closed


def test_other_tasks_run_between_two_pieces():
    turns = []

    def produce():
        for number in range(3):
            turns.append(number)
            yield b"x"

    async def serve():
        async def receive():
            if turns:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_message):
            pass

        async def other():
            while len(turns) < 3:
                turns.append("other") if turns.count("other") < 1 and turns else None
                await asyncio.sleep(0)

        await asyncio.gather(wsgi.as_asgi(simple(produce()))(SCOPE, receive, send), other())

    asyncio.run(serve())
    assert turns.index("other") < turns.index(2)


def test_a_client_that_leaves_stops_the_iterator_and_closes_it():
    pieces = Pieces(*[b"x"] * 1000)

    sent = exchange(simple(pieces), leaves_after=3)

    assert len(sent) < 20
    assert pieces.closed


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_iterator_that_raises_is_closed_and_the_error_seen(when):
    failing = [ValueError("broken")]
    pieces = Pieces(*([b"x", *failing] if when == "after" else failing))

    with pytest.raises(ValueError, match="broken"):
        exchange(simple(pieces))

    assert pieces.closed


def test_what_is_written_comes_before_what_is_returned():
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"first ")
        return [b"second"]

    assert exchange(app)[1]["body"] == b"first second"


def test_an_answer_may_be_replaced_until_it_is_sent():
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError as error:
            start_response("500 Broken", [], (ValueError, error, error.__traceback__))
        return [b""]

    assert exchange(app)[0]["status"] == 500


def test_an_answer_that_was_sent_cannot_be_replaced():
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"sent"
        error = ValueError("too late")
        start_response("500 Broken", [], (ValueError, error, None))

    with pytest.raises(ValueError, match="too late"):
        exchange(app)


def test_two_answers_are_refused():
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(RuntimeError, match="twice"):
        exchange(app)


def test_no_answer_is_refused():
    with pytest.raises(RuntimeError, match="did not call `start_response`"):
        exchange(lambda environ, start_response: [b"x"])


def test_errors_are_logged_line_by_line(caplog):
    def app(environ, start_response):
        print("one\ntwo", file=environ["wsgi.errors"])
        start_response("204 No Content", [])
        return []

    with caplog.at_level(logging.ERROR, "wsgi.errors"):
        exchange(app)

    assert [record.getMessage() for record in caplog.records] == ["one", "two"]


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_wsgi_does_not_have_is_refused(kind):
    with pytest.raises(NotImplementedError, match=kind):
        exchange(simple([]), type=kind)


def test_flask_serves_bodies_streams_and_uploads(package, client):
    from par_guest import rest

    package.write(
        "main.py",
        """
        from flask import Flask, Response, jsonify, request

        app = Flask(__name__)

        @app.post("/echo")
        def echo():
            return jsonify(sent=request.get_json(), base=request.script_root)

        @app.get("/stream")
        def stream():
            return Response((f"{n}\\n" for n in range(3)), mimetype="text/plain")

        @app.post("/upload")
        def upload():
            return str(len(request.files["file"].read()))

        @app.get("/broken")
        def broken():
            raise ValueError("inside")
        """,
    )
    agent = client(rest.application("main:app", package.python_path).asgi, "/agents/a")

    assert agent.post("/agents/a/echo", json={"a": [1]}).json() == {
        "sent": {"a": [1]},
        "base": "/agents/a",
    }
    assert agent.get("/agents/a/stream").text == "0\n1\n2\n"
    assert agent.post("/agents/a/upload", files={"file": io.BytesIO(b"x" * 9)}).text == "9"
    assert agent.get("/agents/a/broken").status_code == 500
