"""The standard streams of the guest, above a system that takes little at a time."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import pytest

from par_guest import output


class Little(io.RawIOBase):
    """Takes five bytes at a time."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken.append(bytes(data)[:5])
        return len(self.taken[-1])


def test_a_text_is_written_whole_and_at_once() -> None:
    little = Little()
    stream = output.whole(little, "backslashreplace")

    print("é" * 10, end="", file=stream)
    assert b"".join(little.taken) == ("é" * 10).encode()

    stream.buffer.write(b"bytes, " * 3)
    stream.write("\ud800\n")
    assert b"".join(little.taken[4:]) == b"bytes, " * 3 + b"\\ud800\n"


def test_only_streams_without_a_buffer_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    unbuffered = io.TextIOWrapper(io.FileIO(writing, "wb", closefd=False), write_through=True)
    buffered = io.TextIOWrapper(io.BufferedWriter(io.FileIO(writing, "wb", closefd=False)))
    monkeypatch.setattr(sys, "stdout", unbuffered)
    monkeypatch.setattr(sys, "stderr", buffered)

    replaced = output.apply()

    assert list(replaced) == [unbuffered]
    replaced[unbuffered].write("here")
    assert os.read(reading, 100) == b"here"
    os.close(reading)
    os.close(writing)
