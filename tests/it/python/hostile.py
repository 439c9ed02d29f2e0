"""An agent that attacks what is around it; one attack a path."""

import itertools
import json
import os
import sys

ATTACKS = {}

#: Numbers no call in flight has.
tokens = itertools.count(2**40)


def attack(function):
    ATTACKS["/" + function.__name__] = function
    return function


async def start(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def end(send, body=b""):
    await send({"type": "http.response.body", "body": body})


async def reply(send, value):
    await start(send)
    await end(send, json.dumps(value).encode())


@attack
async def ping(send):
    await reply(send, "pong")


@attack
async def header_value(send):
    await start(send, headers=[(b"x-good", b"1\r\nx-forged: 1")])
    await end(send)


@attack
async def header_name(send):
    await start(send, headers=[(b"x good\r\nx-forged", b"1")])
    await end(send)


@attack
async def framing(send):
    await start(send, headers=[(b"content-length", b"3"), (b"transfer-encoding", b"chunked")])
    await end(send, b"longer than three")


@attack
async def switching(send):
    await start(send, status=101, headers=[(b"upgrade", b"anything"), (b"connection", b"upgrade")])
    await end(send)


@attack
async def status(send):
    await start(send, status=999)
    await end(send)


@attack
async def headers_without_end(send):
    await start(send, headers=[(b"x-%d" % number, b"y" * 1000) for number in range(10_000)])
    await end(send)


@attack
async def nothing(send):
    pass


@attack
async def body_first(send):
    await end(send, b"no head")


@attack
async def two_heads(send):
    await start(send)
    await start(send)
    await end(send)


@attack
async def wrong_types(send):
    await send({"type": "http.response.start", "status": "200", "headers": 7})
    await send({"type": "http.response.body", "body": "text"})


@attack
async def recursion(send):
    sys.setrecursionlimit(2**31 - 1)

    def deeper():
        return deeper() + 1

    await reply(send, deeper())


@attack
async def wakes(send):
    """Wakes calls that do not exist, each of which the host could remember."""
    from wit_world.imports import calls

    for _ in range(300_000):
        calls.wake(next(tokens))
    await reply(send, "woken")


@attack
async def alarms(send):
    from wit_world.imports import clock

    for _ in range(100_000):
        clock.set_alarm(0)
        clock.set_alarm(2**64 - 1)
    await reply(send, "set")


@attack
async def foreign_calls(send):
    """Speaks about calls that are not its own."""
    from wit_world.imports import calls

    for call in range(10_000):
        calls.broken(call)
        calls.is_complete(call)
        await calls.ended(10_000 + call)
    await reply(send, "spoken")


@attack
async def records(send):
    """Logs below Python's logging, with everything as large as it gets."""
    from wit_world.imports import log

    huge = "\n{\"event\": \"Forged\"}" * 500_000
    for level in log.Level:
        log.emit(log.Entry(level, huge, huge, huge, 2**64 - 1))
    await reply(send, "logged")


@attack
async def shim(send):
    """Breaks the module that serves it."""
    import par_guest.asgi
    import par_guest.loop

    for module in (par_guest.asgi, par_guest.loop):
        for name in list(vars(module)):
            if not name.startswith("__"):
                setattr(module, name, None)
    await reply(send, "broken")


@attack
async def descriptors(send):
    """Opens what WASI lets it open, for as long as it lets it."""
    opened = []
    try:
        while len(opened) < 100_000:
            opened.append(os.open("/agent/main.py", os.O_RDONLY))
    except OSError as error:
        await reply(send, [len(opened) > 100, type(error).__name__])
    else:
        await reply(send, "no limit")
    finally:
        for descriptor in opened:
            os.close(descriptor)


@attack
async def random(send):
    try:
        size = len(os.urandom(1 << 30))
    except BaseException as error:
        size = type(error).__name__
    await reply(send, size)


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await ATTACKS[scope["path"]](send)
