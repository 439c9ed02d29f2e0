"""An agent that does what the tests ask of it: one function a path, answers in JSON."""

import asyncio
import json
import logging
import os
import socket
import sys
import uuid
from urllib.parse import parse_qsl

import _socket

log = logging.getLogger("probe")

#: Set when the instance starts, so that the tests can tell instances apart.
instance = {"id": None}

#: What the requests of one instance tell each other.
signals: dict[str, asyncio.Event] = {}
waiting = {"now": 0, "most": 0}
ROUTES = {}


def route(function):
    ROUTES["/" + function.__name__] = function
    return function


def signal(name):
    return signals.setdefault(name, asyncio.Event())


def attempt(action, *args):
    """What came of something the sandbox may refuse."""
    try:
        return {"done": repr(action(*args))}
    except BaseException as error:
        return {"refused": type(error).__name__, "errno": getattr(error, "errno", None)}


@route
async def ping(query, body):
    return "pong"


@route
async def identity(query, body):
    return instance["id"]


@route
async def environment(query, body):
    return dict(os.environ)


@route
async def echo(query, body):
    return body.decode()


@route
async def wait(query, body):
    waiting["now"] += 1
    waiting["most"] = max(waiting.values())
    try:
        await asyncio.sleep(float(query["seconds"]))
    finally:
        waiting["now"] -= 1
    return {"instance": instance["id"], "most": waiting["most"]}


@route
async def together(query, body):
    """Answers when as many requests as asked for are in here at once."""
    waiting["now"] += 1
    if waiting["now"] == int(query["count"]):
        signal("together").set()
    await signal("together").wait()
    return waiting["now"]


@route
async def hold(query, body):
    """Answers when `release` is asked for the same name."""
    log.info("holding %s", query["name"])
    await signal(query["name"]).wait()
    return instance["id"]


@route
async def release(query, body):
    signal(query["name"]).set()


@route
async def spin(query, body):
    log.info("spinning")
    while True:
        pass


@route
async def block(query, body):
    import time

    log.info("blocking")
    time.sleep(float(query["seconds"]))


@route
async def leave(query, body):
    log.info("leaving")
    os._exit(7)


@route
async def abort(query, body):
    log.info("aborting")
    os.abort()


@route
async def quit(query, body):
    sys.exit(3)


@route
async def fail(query, body):
    raise ValueError("a secret of the agent: hunter2")


@route
async def allocate(query, body):
    try:
        return len(bytearray(int(query["mib"]) << 20))
    except MemoryError:
        return "MemoryError"


@route
async def recurse(query, body):
    def deeper(depth):
        return deeper(depth + 1) + 1

    try:
        return deeper(0)
    except RecursionError:
        return "RecursionError"


@route
async def nest(query, body):
    value = []
    for _ in range(int(query["depth"])):
        value = [value]
    return len(json.dumps(value))


@route
async def read(query, body):
    def first(path):
        with open(path, "rb") as file:
            return file.read(16)

    return attempt(first, query["path"])


@route
async def listing(query, body):
    return attempt(lambda path: sorted(os.listdir(path)), query["path"])


@route
async def change(query, body):
    """Tries every way to change something at or below a directory."""
    directory, file = query["directory"], query["file"]

    def write(path, mode):
        with open(path, mode) as opened:
            return opened.write("changed")

    return {
        "create": attempt(write, f"{directory}/created-by-the-agent", "x"),
        "overwrite": attempt(write, file, "w"),
        "append": attempt(write, file, "a"),
        "truncate": attempt(os.truncate, file, 0),
        "remove": attempt(os.remove, file),
        "rename": attempt(os.rename, file, f"{file}-renamed"),
        "mkdir": attempt(os.mkdir, f"{directory}/made-by-the-agent"),
        "link": attempt(os.link, file, f"{directory}/linked-by-the-agent"),
        "symlink": attempt(os.symlink, "/etc", f"{directory}/led-by-the-agent"),
        "touch": attempt(os.utime, file),
    }


@route
async def connect(query, body):
    """Tries to reach a port through Python's module and through the one below it."""
    address = ("127.0.0.1", int(query["port"]))

    def below(kind):
        opened = _socket.socket(_socket.AF_INET, kind)
        opened.connect(address)
        return opened.send(b"hello")

    def listen():
        opened = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        return opened.getsockname()

    def send_to():
        opened = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        return opened.sendto(b"hello", address)

    def speak():
        # Connecting is nothing yet; what is not HTTP is not carried.
        with socket.create_connection(address, 1) as opened:
            opened.sendall(b"*1\r\n$4\r\nPING\r\n")

    def listen_to():
        with socket.create_connection(address, 1) as opened:
            return opened.recv(1)

    return {
        "speak": attempt(speak),
        "listen_to": attempt(listen_to),
        "stream": attempt(below, _socket.SOCK_STREAM),
        "datagram": attempt(send_to),
        "listen": attempt(listen),
        "look_up": attempt(_socket.getaddrinfo, "localhost", 80),
    }


@route
async def start(query, body):
    import subprocess
    import threading

    return {
        "thread": attempt(threading.Thread(target=print).start),
        "process": attempt(subprocess.run, ["/bin/true"]),
        "shell": attempt(os.system, "true"),
        "fork": attempt(getattr(os, "fork", lambda: os.posix_spawn("/bin/true", ["true"], {}))),
    }


@route
async def forge(query, body):
    """Says on every channel what the test wants to see nowhere but in `details`."""
    text = body.decode()
    print(text)
    print(text, file=sys.stderr)
    log.warning("%s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("caught")
    sys.stdout.flush()
    log.info("forged")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path = scope["path"].removeprefix(scope["root_path"])
    query = dict(parse_qsl(scope["query_string"].decode()))
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    if path == "/pieces":
        await pieces(send)
        return
    function = ROUTES.get(path)
    status, value = (404, "no such path") if function is None else (200, await function(query, body))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def pieces(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(10):
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


async def lifespan(receive, send):
    await receive()
    instance["id"] = str(uuid.uuid4())
    log.info("instance %s started", instance["id"])
    await send({"type": "lifespan.startup.complete"})
    await receive()
    log.info("instance %s stopped", instance["id"])
    await send({"type": "lifespan.shutdown.complete"})
