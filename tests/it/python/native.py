"""An agent of the native backend: says what its process is, and does what the tests ask of it."""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

log = logging.getLogger("native")


def process(query):
    return {
        "pid": os.getpid(),
        "group": os.getpgrp(),
        "python": sys.version.split()[0],
        "isolated": [sys.flags.isolated, sys.flags.no_site],
        "environment": dict(os.environ),
        "path": sys.path,
        "descriptors": sorted(os.listdir("/proc/self/fd"), key=int),
        "directory": os.getcwd(),
    }


def child(query):
    """Leaves a process behind that waits for ever."""
    child = os.fork()
    if child == 0:
        os.close(3)
        while True:
            time.sleep(3600)
    return child


def orphan(query):
    """Leaves a process behind whose parent has ended; it waits for ever."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        orphan = os.fork()
        if orphan:
            os.write(writing, str(orphan).encode())
            os._exit(0)
        os.close(3)
        while True:
            time.sleep(3600)
    os.wait()
    return int(os.read(reading, 16))


def deaf(query):
    """Neither this process nor a child of it hears TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return child(query)


def spin(query):
    """Takes all processors, in this process and in others."""
    for _ in range(2 * os.cpu_count()):
        if os.fork() == 0:
            while True:
                pass
    log.warning("spinning in %s", os.getpid())
    while True:
        pass


def flood(query):
    """Far more than any pipe holds; the rest of it without an end of the line."""
    for _ in range(2000):
        sys.stdout.write("x" * 1000 + "\n")
    sys.stdout.write("y" * (4 << 20))
    sys.stdout.flush()
    return "written"


def fill(query):
    """Files that are small, and too many."""
    for number in range(8):
        Path(os.environ["TMPDIR"], f"file-{number}").write_bytes(b"x" * (1 << 20))
    return os.getpid()


def kept(query):
    return os.listdir(os.environ["TMPDIR"])


async def wait(query):
    log.warning("waiting")
    await asyncio.sleep(float(query["seconds"]))
    return os.getpid()


def speak(query):
    print("on standard output")
    print("on standard error", file=sys.stderr)
    log.warning("in a record")
    thread = threading.Thread(target=log.error, args=("in a thread",))
    thread.start()
    thread.join()


def fast(query):
    import fast

    return fast.answer


def leave(query):
    os._exit(int(query.get("code", 7)))


def garbage(query):
    """Speaks to the host over the socket, and not in its language."""
    os.write(3, b"\xff" * 64)


FUNCTIONS = (process, child, orphan, deaf, spin, flood, fill, kept, wait, speak, fast, leave, garbage)
ROUTES = {f"/{function.__name__}": function for function in FUNCTIONS}

HERE = Path(__file__).parent
# The test says so by files in the package.
if (HERE / "broken").exists():
    raise RuntimeError("the package is broken")
while (HERE / "slow").exists():
    time.sleep(0.01)


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    query = dict(parse_qsl(scope["query_string"].decode()))
    answer = ROUTES[scope["path"]](query)
    body = json.dumps(await answer if asyncio.iscoroutine(answer) else answer).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
