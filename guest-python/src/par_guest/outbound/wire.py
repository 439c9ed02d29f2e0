"""HTTP/1.1 as a server sees it, in memory: requests that come in pieces, responses to go out.

What is read here was written by an HTTP client in the same process; it is checked so that a
mistake, or a protocol that is not HTTP, ends in a sentence. What may leave is decided by the
host, which gets the parts of a request and never these bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus

#: Longest head of a request. Unit: bytes.
HEAD_BYTES = 128 * 1024

#: Longest line that announces a chunk, extensions included. Unit: bytes.
CHUNK_LINE_BYTES = 4096

#: The words before the first space of a request; longer ones are no method.
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}\Z")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE = re.compile(rb"[^\x00\r\n]*\Z")
_START = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}( |\Z)")

#: Headers about the connection between a client and this module. The host sets its own.
_OF_THE_CONNECTION = frozenset(
    (
        b"host",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"content-length",
        b"expect",
    )
)


class NotHTTPError(ValueError):
    """What the client wrote is not an HTTP/1.1 request that can be carried."""


class Head:
    """The head of a request, with what its headers say about the body."""

    __slots__ = ("chunked", "close", "continues", "headers", "host", "length", "method", "target")

    def __init__(self, block: bytes) -> None:
        line, _, rest = block.partition(b"\r\n")
        parts = line.split(b" ")
        if len(parts) != 3 or not _METHOD.match(parts[0]):
            raise NotHTTPError("the request does not begin with `METHOD target HTTP/1.1`")
        self.method, self.target, version = parts
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise NotHTTPError("the request is not HTTP/1.1: PAR chooses HTTP/2 by itself")
        self.headers: list[tuple[bytes, bytes]] = []
        self.host: bytes | None = None
        self.length: int | None = None
        self.chunked = False
        self.close = version == b"HTTP/1.0"
        self.continues = False
        named: set[bytes] = set()
        for field in rest.split(b"\r\n") if rest else ():
            name, colon, value = field.partition(b":")
            if not colon or not _NAME.match(name) or not _VALUE.match(value):
                raise NotHTTPError("a header of the request is not `name: value` in one line")
            lower, value = name.lower(), value.strip(b" \t")
            if lower in _OF_THE_CONNECTION:
                self._take(lower, value, named)
            else:
                self.headers.append((lower, value))
        if self.chunked and self.length is not None:
            raise NotHTTPError("the request has both `content-length` and `transfer-encoding`")
        if any(name == b"upgrade" for name, _ in self.headers):
            raise NotHTTPError(
                "the request asks for another protocol (`upgrade`); "
                "only HTTP leaves the sandbox, no WebSocket"
            )
        if named:
            self.headers = [header for header in self.headers if header[0] not in named]

    def _take(self, name: bytes, value: bytes, named: set[bytes]) -> None:
        if name == b"host":
            if self.host is not None:
                raise NotHTTPError("the request has two `host` headers")
            self.host = value
        elif name == b"content-length":
            if not re.fullmatch(rb"[0-9]{1,18}", value) or self.length not in (None, int(value)):
                raise NotHTTPError("the `content-length` of the request is not one number")
            self.length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or self.chunked:
                raise NotHTTPError("the `transfer-encoding` of the request is not `chunked`")
            self.chunked = True
        elif name == b"connection":
            words = {word.strip().lower() for word in value.split(b",")}
            self.close = self.close or b"close" in words
            named |= words - {b"upgrade"}
        elif name == b"expect":
            self.continues = value.lower() == b"100-continue"

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head."""
        return self.chunked or bool(self.length)


class RequestReader:
    """Reads requests, one after the other, and hands over what it finds.

    `on_head` is called with each [`Head`], `on_body` with pieces of its body, `on_end` when it
    is complete. After a [`NotHTTPError`] nothing more is read.
    """

    def __init__(
        self,
        on_head: Callable[[Head], None],
        on_body: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._on_head = on_head
        self._on_body = on_body
        self._on_end = on_end
        self._buffer = bytearray()
        self._read = self._read_head
        self._left = 0

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes what the client wrote."""
        self._buffer += data
        while self._buffer and self._read():
            pass

    @property
    def between_requests(self) -> bool:
        """Whether nothing of a next request has come."""
        return not self._buffer and self._read == self._read_head

    def _read_head(self) -> bool:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if buffer.startswith(b"PRI * HTTP/2"):
                raise NotHTTPError("the client speaks HTTP/2; leave that to PAR and use HTTP/1.1")
            if buffer and not _START.match(buffer[:33]):
                raise NotHTTPError("what was sent is not HTTP")
            if len(buffer) > HEAD_BYTES:
                raise NotHTTPError(f"the head of the request is longer than {HEAD_BYTES} bytes")
            return False
        head = Head(bytes(buffer[:end]))
        del buffer[: end + 4]
        self._on_head(head)
        if head.chunked:
            self._read = self._read_chunk_line
        elif head.length:
            self._left = head.length
            self._read = self._read_counted
        else:
            self._on_end()
        return True

    def _take(self) -> None:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        self._on_body(piece)

    def _read_counted(self) -> bool:
        self._take()
        if self._left:
            return False
        self._read = self._read_head
        self._on_end()
        return True

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > CHUNK_LINE_BYTES:
                raise NotHTTPError("a chunk of the body has no length")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _read_chunk_line(self) -> bool:
        line = self._line()
        if line is None:
            return False
        digits = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
            raise NotHTTPError("a chunk of the body has no length")
        self._left = int(digits, 16)
        self._read = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._take()
        if self._left:
            return False
        self._read = self._read_chunk_end
        return True

    def _read_chunk_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            raise NotHTTPError("a chunk of the body is longer than its length")
        self._read = self._read_chunk_line
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if not line:
            self._read = self._read_head
            self._on_end()
        return True


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ResponseWriter:
    """Turns one response into the bytes of HTTP/1.1."""

    __slots__ = ("_chunked", "_closes", "_has_body")

    def __init__(self, head: Head) -> None:
        self._has_body = head.method != b"HEAD"
        self._closes = head.close
        self._chunked = False

    def head(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], complete: bytes | None
    ) -> bytes:
        """The head; `complete` is the body, if all of it is there already."""
        if status in (204, 304) or status < 200:
            self._has_body = False
        try:
            reason = HTTPStatus(status).phrase.encode()
        except ValueError:
            reason = b""
        lines = [b"HTTP/1.1 %d %s" % (status, reason)]
        counted = False
        for name, value in headers:
            counted = counted or name == b"content-length"
            lines.append(name + b": " + value)
        if self._has_body and not counted:
            if complete is not None:
                lines.append(b"content-length: %d" % len(complete))
            elif not self._closes:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked")
        if self._closes:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        written = b"\r\n".join(lines)
        return written + complete if complete and self._has_body else written

    def body(self, chunk: bytes) -> bytes:
        """A piece of the body; an empty one is its end."""
        if not self._has_body:
            return b""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        return chunk
