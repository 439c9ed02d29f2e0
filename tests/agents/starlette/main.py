"""An ASGI application built with Starlette, which is part of the guest."""

from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app):
    """Runs before the first request and after the last one, in each instance."""
    yield {"greeting": "Hello"}


async def hello(request: Request) -> JSONResponse:
    """Greets; the prefix PAR serves the agent under is in `request.url_for`."""
    name = request.path_params["name"]
    return JSONResponse(
        {
            "greeting": f"{request.state.greeting}, {name}",
            "self": str(request.url_for("hello", name=name)),
        }
    )


app = Starlette(routes=[Route("/hello/{name}", hello)], lifespan=lifespan)
