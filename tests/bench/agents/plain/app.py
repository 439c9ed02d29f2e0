"""An ASGI application without a framework: what is measured is the way to it and back."""

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")],
}
BODY = {"type": "http.response.body", "body": b"ok"}


async def app(scope, receive, send):
    """Answers everything with `ok`, but for `/spin`, which it never answers."""
    if scope["type"] == "http":
        while scope["path"] == "/spin":
            pass
        await send(START)
        await send(BODY)
