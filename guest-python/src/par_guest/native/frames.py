"""The frames between the host and a process of the agent.

`host/src/native/frames.rs` is the other side. A frame is a header and a payload. The header
has the length of the payload, the kind of the frame and the number of the call it belongs to, zero
for none.
"""

from __future__ import annotations

import struct
from enum import IntEnum

HEADER = struct.Struct(">IBI")

#: Before the head of a request: flags, length of the head.
REQUEST = struct.Struct(">BI")

#: Before the head of a response: status, flags, length of the head.
RESPONSE = struct.Struct(">HBI")

#: Flags of a request and of a response.
STREAMED = 1
UI = 2
A2A = 4

#: Bytes of a body that may be on their way before the other side has taken any.
WINDOW = 256 * 1024

#: Largest piece of a body. A complete body of a response is at most a window.
PIECE = 64 * 1024


class Kind(IntEnum):
    """What a frame is."""

    # From the host.
    LOAD = 1
    HTTP = 2
    ACTION = 3
    # From both.
    BODY = 4
    BODY_END = 5
    BODY_BROKEN = 6
    CREDIT = 8
    # From the host.
    GONE = 7
    PING = 9
    STOP = 10
    # From the process.
    LOADED = 33
    REFUSED = 34
    RESPONSE = 35
    RESULT = 36
    FAILED = 37
    PONG = 41
    LOG = 42
    STOPPED = 43


def frame(kind: int, call: int = 0, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEADER.pack(len(payload), kind, call) + payload
