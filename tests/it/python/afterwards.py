"""Answers first and works afterwards, as the background tasks of Starlette do."""

import asyncio


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 202, "headers": []})
    await send({"type": "http.response.body", "body": b"accepted"})
    await asyncio.sleep(1)
    print("worked afterwards")
