"""The same three routes with each of the small frameworks."""

import asyncio
import json


def bottle_app():
    import bottle

    app = bottle.Bottle()
    app.route("/hello/<name>")(lambda name: f"Hello, {name}")
    app.route("/sum", method="POST")(lambda: {"sum": sum(bottle.request.json)})

    @app.route("/stream")
    def stream():
        for number in range(3):
            yield f"{number}\n"

    return app


def falcon_wsgi():
    import falcon

    class Hello:
        def on_get(self, request, response, name):
            response.text = f"Hello, {name}"

    class Sum:
        def on_post(self, request, response):
            response.media = {"sum": sum(request.get_media())}

    class Stream:
        def on_get(self, request, response):
            response.stream = (b"%d\n" % number for number in range(3))

    app = falcon.App()
    app.add_route("/hello/{name}", Hello())
    app.add_route("/sum", Sum())
    app.add_route("/stream", Stream())
    return app


def falcon_asgi():
    import falcon.asgi

    class Hello:
        async def on_get(self, request, response, name):
            await asyncio.sleep(0)
            response.text = f"Hello, {name}"

    class Sum:
        async def on_post(self, request, response):
            response.media = {"sum": sum(await request.get_media())}

    class Stream:
        async def on_get(self, request, response):
            async def pieces():
                for number in range(3):
                    yield b"%d\n" % number

            response.stream = pieces()

    app = falcon.asgi.App()
    app.add_route("/hello/{name}", Hello())
    app.add_route("/sum", Sum())
    app.add_route("/stream", Stream())
    return app


def quart_app():
    from quart import Quart, request

    app = Quart("small")

    @app.route("/hello/<name>")
    async def hello(name):
        return f"Hello, {name}"

    @app.route("/sum", methods=["POST"])
    async def add():
        return {"sum": sum(await request.get_json())}

    @app.route("/stream")
    async def stream():
        async def pieces():
            for number in range(3):
                yield f"{number}\n"

        return pieces()

    return app


def flask_app():
    from flask import Flask, request

    app = Flask("small")
    app.route("/hello/<name>", endpoint="hello")(lambda name: f"Hello, {name}")
    app.post("/sum", endpoint="sum")(lambda: {"sum": sum(request.get_json())})
    app.route("/stream", endpoint="stream")(lambda: (f"{number}\n" for number in range(3)))
    return app


def starlette_app():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def add(request):
        return JSONResponse({"sum": sum(json.loads(await request.body()))})

    return Starlette(
        routes=[
            Route("/hello/{name}", lambda request: PlainTextResponse(f"Hello, {request.path_params['name']}")),
            Route("/sum", add, methods=["POST"]),
            Route("/stream", lambda request: StreamingResponse(f"{number}\n" for number in range(3))),
        ]
    )
