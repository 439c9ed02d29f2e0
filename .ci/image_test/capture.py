"""What leaves a network namespace, packet by packet."""

import contextlib
import ctypes
import os
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

EVERYTHING = 0x0003
OUTGOING = 4
CLONE_NEWNET = 0x40000000

TCP, UDP = 6, 17
ICMP6 = 58
"""With which kernels look for neighbours by themselves."""

SYN, ACK = 0x02, 0x10


@dataclass
class Left:
    """Everything that left a namespace, over any of its interfaces, the loopback one included."""

    opened: set[tuple[str, int]] = field(default_factory=set)
    """Addresses and ports it opened TCP connections to."""

    datagrams: list[tuple[str, int, bytes]] = field(default_factory=list)
    """Address, port and content of what it sent over UDP."""

    other: list[str] = field(default_factory=list)
    """What is neither, and no kernel sends by itself."""

    pieces: dict[tuple[int, str, int], dict[int, bytes]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """What was sent on each TCP connection, by sequence number."""

    def add(self, frame: bytes) -> None:
        """Takes one Ethernet frame."""
        kind, data = frame[12:14], frame[14:]
        if kind == b"\x08\x00":
            self.add_ipv4(data)
        elif kind == b"\x86\xdd" and data[6] not in (ICMP6, 0):
            self.other.append(f"IPv6 to {socket.inet_ntop(socket.AF_INET6, data[24:40])}")

    def add_ipv4(self, data: bytes) -> None:
        """Takes one packet."""
        data = data[: int.from_bytes(data[2:4], "big") or len(data)]
        head, protocol, to = (data[0] & 15) * 4, data[9], socket.inet_ntoa(data[16:20])
        payload = data[head:]
        own, port = int.from_bytes(payload[0:2], "big"), int.from_bytes(payload[2:4], "big")
        if protocol == UDP:
            self.datagrams.append((to, port, payload[8:]))
        elif protocol == TCP:
            if payload[13] & (SYN | ACK) == SYN:
                self.opened.add((to, port))
            if content := payload[(payload[12] >> 4) * 4 :]:
                number = int.from_bytes(payload[4:8], "big")
                self.pieces[own, to, port][number] = content
        else:
            self.other.append(f"protocol {protocol} to {to}")

    def requests(self, address: str, port: int) -> list[str]:
        """The request lines of HTTP that were sent to an address."""
        streams = [
            b"".join(content for _, content in sorted(pieces.items()))
            for (_, to, its_port), pieces in self.pieces.items()
            if (to, its_port) == (address, port)
        ]
        heads = [head for stream in streams for head in stream.split(b"\r\n\r\n") if head]
        return [head.split(b"\r\n")[0].decode(errors="replace") for head in heads]

    def names(self) -> set[str]:
        """The names that were asked for."""
        return {name_in(content) for _, _, content in self.datagrams}


def name_in(question: bytes) -> str:
    """The name a question of DNS is about; what is none is shown as it is."""
    labels, at = [], 12
    while at < len(question) and 0 < question[at] < 64:
        labels.append(question[at + 1 : at + 1 + question[at]])
        at += 1 + question[at]
    name = b".".join(labels).decode(errors="replace")
    return name if re.fullmatch(r"[\w.-]+", name) else repr(question)


@contextlib.contextmanager
def leaving(process: int) -> Iterator[Left]:
    """What leaves the namespace of a process, from now on."""
    left, ended, listening = Left(), threading.Event(), threading.Event()
    failed: list[OSError] = []

    def listen() -> None:
        try:
            with inside(process) as frames:
                listening.set()
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        frame, (_, _, direction, *_) = frames.recvfrom(1 << 18)
                        if direction == OUTGOING:
                            left.add(frame)
        except OSError as error:
            failed.append(error)
            listening.set()

    thread = threading.Thread(target=listen)
    thread.start()
    listening.wait()
    try:
        if failed:
            raise failed[0]
        yield left
    finally:
        ended.set()
        thread.join()


def inside(process: int) -> socket.socket:
    """A socket that hears every interface of the namespace of a process. The thread stays there."""
    namespace = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot enter the network namespace")
    finally:
        os.close(namespace)
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    frames.settimeout(0.1)
    return frames
