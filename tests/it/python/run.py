"""An agent that runs what the tests send it: the body of `async def run()`."""

import asyncio
import json
import textwrap
import traceback


def described(error):
    chain = []
    while error is not None:
        chain.append({"type": type(error).__name__, "text": str(error), "code": getattr(error, "code", None)})
        error = error.__cause__ or error.__context__
    return chain


def names_of_a_module():
    """Frameworks look for the module of a function by its name."""
    return {"__name__": __name__}


async def read(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body.decode()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    source = await read(receive)
    if scope["path"] == "/stream":
        await stream(source, send)
        return
    names = names_of_a_module()
    try:
        exec(f"async def run():\n{textwrap.indent(source, '    ')}", names)
        answer = {"done": await names["run"]()}
    except Exception as error:
        print(traceback.format_exc())
        answer = {"raised": described(error)}
    body = json.dumps(answer).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def stream(source, send):
    """Sends on what the code yields, as it comes."""
    names = names_of_a_module()
    exec(f"async def run():\n{textwrap.indent(source, '    ')}", names)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async for piece in names["run"]():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # What frameworks do between the pieces of synchronous code: let the loop run dry.
        await asyncio.sleep(0.001)
    await send({"type": "http.response.body", "body": b""})
