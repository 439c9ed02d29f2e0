"""The agent of `just soak`."""

import asyncio


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    path = scope["path"]
    if path == "/fail":
        raise ValueError("as asked")
    if path == "/wait":
        await asyncio.sleep(0.05)
    known = path in {"/ping", "/echo", "/wait", "/events"}
    await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
    if path == "/events":
        for number in range(int(scope["query_string"])):
            data = b"data: %d\n\n" % number
            await send({"type": "http.response.body", "body": data, "more_body": True})
            await asyncio.sleep(0.5)
        body = b"data: end\n\n"
    await send({"type": "http.response.body", "body": b"pong" if path == "/ping" else body})
