"""An agent of the native backend: says what its process is, and does what the tests ask of it."""

import json
import logging
import os
import sys
import threading
import time
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
    os._exit(7)


def garbage(query):
    """Speaks to the host over the socket, and not in its language."""
    os.write(3, b"\xff" * 64)


ROUTES = {f"/{function.__name__}": function for function in (process, child, speak, fast, leave, garbage)}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    query = dict(parse_qsl(scope["query_string"].decode()))
    body = json.dumps(ROUTES[scope["path"]](query)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
