"""A load that changes: quiet, busy, a bad spell, quiet again."""

import contextlib
import http.client
import http.server
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Spell:
    """A part of the time, and what happens in it."""

    share: float
    per_second: int
    paths: dict[str, int]
    """What is asked for, and how often beside the others."""


ORDINARY = {"quick": 60, "wait": 25, "think": 5, "ask?own": 8, "hold": 1}
SPELLS = [
    Spell(0.25, 40, ORDINARY),
    Spell(0.25, 120, ORDINARY),
    Spell(0.2, 120, {**ORDINARY, "fail": 8, "ask?other": 6, "leave": 1}),
    Spell(0.3, 60, {**ORDINARY, "free": 1}),
]

CLIENTS = 16


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """Somebody the agent may ask, who is a collector as well; yields its origin."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(url: str, seconds: float) -> None:
    """Waits until somebody answers with 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def run(rest: int, a2a: int, origin: str, seconds: float) -> None:
    """Asks the agent for so long, by several clients."""
    clients = [
        threading.Thread(target=client, args=(rest, a2a, origin, seconds, seed))
        for seed in range(CLIENTS)
    ]
    for one in clients:
        one.start()
    for one in clients:
        one.join()


def client(rest: int, a2a: int, origin: str, seconds: float, seed: int) -> None:
    """One client: each request at its time, unless the one before took longer."""
    chance = random.Random(seed)
    connections = [
        http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in (rest, a2a)
    ]
    asked = {"ask?own": f"ask?{origin}/", "ask?other": "ask?http://169.254.169.254/"}
    for spell in SPELLS:
        ended = time.monotonic() + spell.share * seconds
        while time.monotonic() < ended:
            time.sleep(chance.expovariate(spell.per_second / CLIENTS))
            [path] = chance.choices(list(spell.paths), list(spell.paths.values()))
            # Every twentieth is a page of the UI or something that is not there.
            if chance.random() < 0.05:
                path = chance.choice(["ui/", "ui/nothing.js"])
            one = chance.choices(connections, [4, 1])[0]
            with contextlib.suppress(OSError, http.client.HTTPException):
                one.request("GET", f"/{asked.get(path, path)}")
                one.getresponse().read()
                continue
            one.close()
