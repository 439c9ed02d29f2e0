"""HTTP/1.1 in memory: what clients write, in any pieces, and what they get back."""

from __future__ import annotations

from http.client import HTTPResponse
from io import BytesIO

import pytest

from par_guest.outbound.wire import NotHTTPError, RequestReader, ResponseWriter


class Read:
    """What a reader found."""

    def __init__(self):
        self.heads, self.bodies, self.ended = [], [], 0
        self.reader = RequestReader(self._on_head, self._on_body, self._on_end)

    def _on_head(self, head):
        self.heads.append(head)
        self.bodies.append(b"")

    def _on_body(self, piece):
        self.bodies[-1] += piece

    def _on_end(self):
        self.ended += 1


def read(*pieces):
    found = Read()
    for piece in pieces:
        found.reader.feed(piece)
    return found


POST = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\ntrailer: 1\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_request_is_read_in_whatever_pieces_it_comes(size):
    both = POST + CHUNKED
    found = read(*(both[start : start + size] for start in range(0, len(both), size)))

    assert [(head.method, head.target) for head in found.heads] == [
        (b"POST", b"/a?b=c"),
        (b"PUT", b"/"),
    ]
    assert found.bodies == [b"hello", b"hello world"]
    assert found.ended == 2
    assert found.heads[0].headers == [(b"x-one", b"1")]
    assert found.heads[0].length == 5
    assert found.heads[1].chunked
    assert found.reader.between_requests


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"*1\r\n$4\r\nPING\r\n", "what was sent is not HTTP"),
        (b"\x16\x03\x01\x02\x00", "what was sent is not HTTP"),
        (b"EHLO mail.example\r\n\r\n", "does not begin with"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"GET / HTTP/2\r\n\r\n", "not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", "`name: value`"),
        (b"GET / HTTP/1.1\r\nx-a : 1\r\n\r\n", "`name: value`"),
        (b"GET / HTTP/1.1\r\nx-a: 1\n2\r\n\r\n", "`name: value`"),
        (b"GET / HTTP/1.1\r\nx-a: 1\x002\r\n\r\n", "`name: value`"),
        (b"GET / HTTP/1.1\r\n x-folded: 1\r\n\r\n", "`name: value`"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "two `host`"),
        (b"GET / HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", "no WebSocket"),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "one number"),
        (b"POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", "one number"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "not `chunked`"),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "both `content-length` and `transfer-encoding`",
        ),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "no length"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000, "longer than"),
    ],
)
def test_what_is_not_one_request_is_refused(sent, says):
    with pytest.raises(NotHTTPError, match=says):
        read(sent)


def test_headers_of_the_connection_are_taken_off():
    found = read(
        b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close, x-hop\r\nx-hop: 1\r\nte: trailers\r\n"
        b"accept: */*\r\nexpect: 100-continue\r\n\r\n"
    )

    head = found.heads[0]
    assert head.headers == [(b"accept", b"*/*")]
    assert head.close
    assert head.continues


def answered(request, status, headers, pieces, complete=False):
    """What Python's own client makes of a response."""
    head = read(request).heads[0]
    writer = ResponseWriter(head)
    body = b"".join(pieces)
    if complete:
        written = writer.head(status, headers, body)
    else:
        written = writer.head(status, headers, None)
        written += b"".join(writer.body(piece) for piece in [*pieces, b""])

    class Connection:
        def makefile(self, _mode):
            return BytesIO(written)

    response = HTTPResponse(Connection(), method=head.method.decode())
    response.begin()
    return response


GET = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"11"), (b"x-a", b"1")]])
@pytest.mark.parametrize("connection", [b"", b"connection: close\r\n"])
def test_a_response_is_one_of_http_1_1(complete, headers, connection):
    request = GET[:-2] + connection + b"\r\n"
    response = answered(request, 200, headers, [b"hello", b" world"], complete)

    assert (response.status, response.reason, response.read()) == (200, "OK", b"hello world")


@pytest.mark.parametrize(
    ("request_", "status"), [(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n", 200), (GET, 204), (GET, 304)]
)
@pytest.mark.parametrize("complete", [True, False])
def test_a_response_without_a_body_has_none(request_, status, complete):
    response = answered(request_, status, [(b"x-a", b"1")], [], complete)

    assert response.read() == b""
    assert response.getheader("transfer-encoding") is None
