"""An ASGI application without a framework."""

import json


async def app(scope, receive, send):
    """Answers every request with what it was."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = {
        "method": scope["method"],
        "path": scope["path"],
        "root_path": scope["root_path"],
        "query": scope["query_string"].decode(),
    }
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
