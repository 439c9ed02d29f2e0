"""An agent whose bodies arrive and leave piece by piece."""

import asyncio
import logging
from urllib.parse import parse_qsl

log = logging.getLogger("streams")

acknowledged: dict[str, asyncio.Event] = {}


def acknowledgement(number):
    return acknowledged.setdefault(str(number), asyncio.Event())


async def begin(send, kind=b"application/octet-stream"):
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def piece(send, data, more=True):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def echo(scope, receive, send):
    """Sends back each piece before it asks for the next one."""
    await begin(send)
    while True:
        message = await receive()
        more = message.get("more_body", False)
        await piece(send, message.get("body", b""), more)
        if not more:
            return


async def paced(scope, receive, send):
    """Server-sent events, each sent when the one before was acknowledged."""
    await begin(send, b"text/event-stream")
    for number in range(3):
        await piece(send, b"data: %d\n\n" % number)
        await acknowledgement(number).wait()
    await piece(send, b"", more=False)


async def acknowledge(scope, receive, send):
    query = dict(parse_qsl(scope["query_string"].decode()))
    acknowledgement(query["number"]).set()
    await begin(send)
    await piece(send, b"", more=False)


async def until_left(scope, receive, send):
    """Sends one piece and waits for the client to go."""
    await receive()
    await begin(send)
    await piece(send, b"first")
    message = await receive()
    log.info("received %s", message["type"])


async def before_answering(scope, receive, send):
    """Waits for the client to go before it has answered anything."""
    await receive()
    log.info("waiting")
    message = await receive()
    log.info("received %s", message["type"])


async def endless(scope, receive, send):
    """Sends for as long as somebody listens."""
    await begin(send)
    try:
        while True:
            await piece(send, b"x" * 65536)
    except OSError as error:
        log.info("sending ended with %s", type(error).__name__)
        raise


async def swallow(scope, receive, send):
    """Counts the request body without keeping it."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            log.info("upload broke off")
            return
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    await begin(send)
    await piece(send, str(size).encode(), more=False)


async def half(scope, receive, send):
    """Fails when the answer has begun."""
    await begin(send)
    await piece(send, b"half of it")
    await acknowledgement("half").wait()
    raise RuntimeError("no other half")


async def large(scope, receive, send):
    """Sends 32 MiB."""
    await begin(send)
    for _ in range(512):
        await piece(send, b"y" * 65536)
    await piece(send, b"", more=False)


ROUTES = {
    f"/{function.__name__}": function
    for function in (
        echo, paced, acknowledge, until_left, before_answering, endless, swallow, half, large,
    )
}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await ROUTES[scope["path"]](scope, receive, send)
