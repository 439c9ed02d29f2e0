"""`http_server` and `ui.entry`: what counts as an application."""

from __future__ import annotations

import pytest

from par_guest import rest
from par_guest.loading import LoadFailure

ASGI = """
    async def page(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})
"""

#: Each makes `app` in a module of its own.
APPLICATIONS = {
    "asgi function": ("asgi", ASGI + "\n    app = page"),
    "asgi object": (
        "asgi",
        ASGI
        + """
    class App:
        async def __call__(self, scope, receive, send):
            await page(scope, receive, send)

    app = App()
""",
    ),
    "asgi behind *args": (
        "asgi",
        ASGI
        + """
    class Wrapper:
        async def __call__(self, *args):
            await page(*args)

    app = Wrapper()
""",
    ),
    "asgi 2 function": (
        "asgi",
        ASGI
        + """
    import functools

    def app(scope):
        return functools.partial(page, scope)
""",
    ),
    "asgi 2 class": (
        "asgi",
        ASGI
        + """
    class app:
        def __init__(self, scope):
            self.scope = scope

        async def __call__(self, receive, send):
            await page(self.scope, receive, send)
""",
    ),
    "factory of asgi": ("asgi", ASGI + "\n    def app(debug=False):\n        return page"),
    "async factory of asgi": ("asgi", ASGI + "\n    async def app():\n        return page"),
    "middleware with .app": (
        "asgi",
        ASGI
        + """
    class Middleware:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    app = Middleware(page)
""",
    ),
    "server object": (
        "asgi",
        ASGI
        + """
    class AgentServer:
        def run(self, **kwargs):
            raise AssertionError("PAR serves the port")

        @property
        def app(self):
            return page

    app = AgentServer()
""",
    ),
    "factory of a server object": (
        "asgi",
        ASGI
        + """
    class AgentServer:
        app = staticmethod(page)

    def app():
        return AgentServer()
""",
    ),
    "builder object": (
        "asgi",
        ASGI
        + """
    class Builder:
        def build(self):
            return page

    app = Builder()
""",
    ),
    "starlette": (
        "asgi",
        """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def here(request):
        return PlainTextResponse("here")

    app = Starlette(routes=[Route("/", here)])
""",
    ),
    "fastapi": (
        "asgi",
        """
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()
    app.add_api_route("/", lambda: PlainTextResponse("here"))
""",
    ),
    "fastapi router": (
        "router",
        """
    from fastapi import APIRouter
    from fastapi.responses import PlainTextResponse

    app = APIRouter()
    app.add_api_route("/", lambda: PlainTextResponse("here"))
""",
    ),
    "wsgi function": (
        "wsgi",
        """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"here"]
""",
    ),
    "flask": (
        "wsgi",
        """
    from flask import Flask

    app = Flask(__name__)

    @app.get("/")
    def here():
        return "here"
""",
    ),
    "factory of flask": (
        "wsgi",
        """
    from flask import Flask

    def app(config=None):
        made = Flask(__name__)
        made.add_url_rule("/", view_func=lambda: "here")
        return made
""",
    ),
    "bottle": (
        "wsgi",
        """
    import bottle

    app = bottle.Bottle()

    @app.get("/")
    def here():
        return "here"
""",
    ),
}


@pytest.mark.parametrize("shape", APPLICATIONS)
def test_every_shape_of_application_is_recognised_and_answers(package, client, shape):
    kind, text = APPLICATIONS[shape]
    package.write("main.py", text)

    served = rest.application("main:app", package.python_path)

    assert served.kind == kind
    assert client(served.asgi).get("/").text == "here"


@pytest.mark.parametrize("name", ["app", "application", "server", "create_app"])
def test_an_application_without_a_name_is_found_by_custom(package, name):
    package.write("main.py", f"async def {name}(scope, receive, send): pass")

    assert rest.application("main", package.python_path).kind == "asgi"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app = 5", "`main:app` is a `int`; expected an ASGI application"),
        ("app = None", "is a `NoneType`"),
        ("import json as app", "is a `module`"),
        ("def app(router): pass", "a function of (router)"),
        ("async def app(environ, start_response): pass", "(environ, start_response)"),
        ("def app(a, b, c, d): pass", "a function of (a, b, c, d)"),
        ("def app(*args): pass", "is a `function`"),
        ("class app:\n    def __init__(self, name): pass", "the class `app`"),
        ("def app(): pass", "takes no argument and returned nothing"),
        ("def app(): return app", "wraps its application too many times"),
        ("def app(*, scope, receive, send): pass", "is a `function`"),
    ],
)
def test_what_is_no_application_is_refused(package, text, message):
    package.write("main.py", text)

    with pytest.raises(LoadFailure) as failure:
        rest.application("main:app", package.python_path)

    assert failure.value.reason == "wrong-shape"
    assert message in failure.value.message


def test_a_factory_that_raises_is_a_failure_with_its_traceback(package):
    package.write("main.py", "def app(): raise RuntimeError('no key')")

    with pytest.raises(LoadFailure) as failure:
        rest.application("main:app", package.python_path)

    assert failure.value.reason == "startup-failed"
    assert "main.py" in failure.value.traceback


def test_an_app_property_that_exits_is_a_failure(package):
    package.write(
        "main.py",
        """
        class Server:
            @property
            def app(self):
                raise SystemExit(1)

        server = Server()
        """,
    )

    with pytest.raises(LoadFailure) as failure:
        rest.application("main:server", package.python_path)

    assert failure.value.reason == "startup-failed"
