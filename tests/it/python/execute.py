"""An agent that runs what the tests send it; `result` is the answer."""

import json


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    names = {}
    try:
        exec(body.decode(), names)
        answer = {"done": names.get("result")}
    except Exception as error:
        answer = {"raised": type(error).__name__, "errno": getattr(error, "errno", None)}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
