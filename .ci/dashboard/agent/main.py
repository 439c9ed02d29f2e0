"""An agent with the habits of a service: most of its requests are quick, some wait, a few fail."""

import asyncio
import os
import urllib.error
import urllib.request

HELD = []


async def app(scope: dict, receive: object, send: object) -> None:
    """Does what its path says."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    status = 200
    match scope["path"].rsplit("/", 1)[-1]:
        case "wait":
            await asyncio.sleep(0.03)
        case "think":
            sum(number * number for number in range(60_000))
        case "fail":
            raise ValueError("an ordinary day")
        case "ask":
            status = ask(scope["query_string"].decode())
        case "hold":
            HELD.append(bytearray(1 << 20))
        case "free":
            HELD.clear()
        case "leave":
            os._exit(1)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


def ask(url: str) -> int:
    """Asks somebody else; what is denied is an answer as well."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except urllib.error.URLError:
        return 424
