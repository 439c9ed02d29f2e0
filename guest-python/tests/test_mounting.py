"""`rest.entry`: the shapes of mount functions that real agents have."""

from __future__ import annotations

import pytest

from par_guest import mounting, rest
from par_guest.loading import LoadFailure

OLD_EXAMPLE = """
    from typing import Any, Dict

    from fastapi import FastAPI, HTTPException
    from pydantic import BaseModel


    class Order(BaseModel):
        price: float
        count: int
        rule: str = "total"


    def mount(app: FastAPI):
        @app.get("/api/state")
        async def state():
            return {"state": "running", "surfaces": ["rest", "a2a"]}

        @app.post("/api/total")
        async def total(order: Order) -> Dict[str, Any]:
            if order.rule != "total":
                raise HTTPException(status_code=400, detail="Unknown rule")
            return {"total": order.price * order.count}

        @app.get("/api/plain")
        def plain():
            return "plain"
"""


@pytest.fixture
def old_example(package):
    return package.write("rest_routes.py", OLD_EXAMPLE)


def mounted(package, client, text, name="rest_routes:mount"):
    package.write("rest_routes.py", text)
    served = rest.mount(name, package.python_path)
    return served, client(served.asgi)


def test_decorators_on_the_app_make_routes(old_example, client):
    served = rest.mount("rest_routes:mount", old_example.python_path)

    assert served.kind == "router"
    reply = client(served.asgi).get("/api/state")
    assert reply.status_code == 200
    assert reply.json() == {"state": "running", "surfaces": ["rest", "a2a"]}


def test_a_body_is_checked_by_its_model(old_example, client):
    agent = client(rest.mount("rest_routes:mount", old_example.python_path).asgi)

    assert agent.post("/api/total", json={"price": 2.5, "count": 4}).json() == {"total": 10.0}


def test_a_body_that_does_not_fit_is_a_422_with_its_place(old_example, client):
    agent = client(rest.mount("rest_routes:mount", old_example.python_path).asgi)

    reply = agent.post("/api/total", json={"price": "much", "count": 4})

    assert reply.status_code == 422
    (detail,) = reply.json()["detail"]
    assert detail["loc"] == ["body", "price"]
    assert detail["type"] == "float_parsing"
    assert detail["input"] == "much"


def test_an_http_exception_keeps_its_status_and_detail(old_example, client):
    agent = client(rest.mount("rest_routes:mount", old_example.python_path).asgi)

    reply = agent.post("/api/total", json={"price": 1, "count": 1, "rule": "other"})

    assert (reply.status_code, reply.json()) == (400, {"detail": "Unknown rule"})


def test_other_methods_are_405_and_other_paths_404(old_example, client):
    agent = client(rest.mount("rest_routes:mount", old_example.python_path).asgi)

    refused = agent.post("/api/state")
    assert (refused.status_code, refused.json()) == (405, {"detail": "Method Not Allowed"})
    assert refused.headers["allow"] == "GET"
    assert agent.request("HEAD", "/api/state").status_code == 405
    assert agent.get("/api/none").json() == {"detail": "Not Found"}


def test_a_synchronous_endpoint_answers(old_example, client):
    agent = client(rest.mount("rest_routes:mount", old_example.python_path).asgi)

    assert agent.get("/api/plain").json() == "plain"


def test_the_documentation_is_served_under_the_original_title(old_example, client):
    agent = client(rest.mount("rest_routes:mount", old_example.python_path).asgi)

    schema = agent.get("/openapi.json").json()

    assert schema["info"] == {"title": "Pixell Agent Runtime", "version": "0.1.0"}
    assert "/api/total" in schema["paths"]
    assert agent.get("/docs").status_code == agent.get("/redoc").status_code == 200


def test_the_scaffold_of_pixell_init_runs(package, client):
    package.write(
        "src/rest/index.py",
        """
        from fastapi import FastAPI

        def mount(app: FastAPI) -> None:
            @app.get("/api/hello")
            async def hello():
                return {"message": "Hello from REST"}
        """,
    )

    agent = client(rest.mount("src.rest.index:mount", package.python_path).asgi)

    assert agent.get("/api/hello").json() == {"message": "Hello from REST"}


def test_the_function_is_called_mount_unless_it_is_named(old_example, client):
    agent = client(rest.mount("rest_routes", old_example.python_path).asgi)

    assert agent.get("/api/state").status_code == 200


def test_the_argument_may_be_used_as_a_router(package, client):
    _served, agent = mounted(
        package,
        client,
        """
        from fastapi import APIRouter

        def mount(router: APIRouter):
            assert router.prefix == "" and router.tags == []
            v1 = APIRouter(prefix="/v1", tags=["first"])

            @v1.get("/a")
            async def a():
                return "a"

            router.include_router(v1, prefix="/api", tags=["second"])
            router.add_api_route("/b", a, methods=["POST"])
            router.add_event_handler("startup", lambda: None)

            @router.api_route("/c", methods=["PUT"])
            async def c():
                return "c"
        """,
    )

    assert agent.get("/api/v1/a").json() == "a"
    assert agent.post("/b").json() == "a"
    assert agent.request("PUT", "/c").json() == "c"
    schema = agent.get("/openapi.json").json()
    assert schema["paths"]["/api/v1/a"]["get"]["tags"] == ["second", "first"]


def test_the_argument_may_be_used_as_an_app(package, client):
    _served, agent = mounted(
        package,
        client,
        """
        from fastapi import FastAPI, Request
        from fastapi.middleware.cors import CORSMiddleware
        from fastapi.responses import JSONResponse
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        class Broken(Exception):
            pass

        def mount(app: FastAPI):
            app.state.greeting = "hi"
            app.add_middleware(CORSMiddleware, allow_origins=["*"])

            @app.exception_handler(Broken)
            async def broken(request, error):
                return JSONResponse({"broken": str(error)}, status_code=418)

            @app.middleware("http")
            async def mark(request, call_next):
                response = await call_next(request)
                response.headers["x-marked"] = "yes"
                return response

            @app.get("/greeting")
            async def greeting(request: Request):
                return request.app.state.greeting

            @app.get("/broken")
            async def fails():
                raise Broken("really")

            async def page(request):
                return PlainTextResponse("page")

            app.mount("/sub", Starlette(routes=[Route("/page", page)]))
        """,
    )

    reply = agent.get("/greeting", headers={"origin": "https://ui.test"})
    assert reply.json() == "hi"
    assert reply.headers["x-marked"] == "yes"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert (agent.get("/broken").status_code, agent.get("/broken").json()) == (
        418,
        {"broken": "really"},
    )
    assert agent.get("/sub/page").text == "page"


@pytest.mark.parametrize(
    "signature",
    ["app", "router", "anything", "*, app", "*, router", "app=None", "app, prefix='/x'", "*args"],
)
def test_every_way_to_take_the_app_is_served(package, client, signature):
    name = "args[0]" if signature == "*args" else signature.removeprefix("*, ").split("=")[0]
    name = name.split(",")[0]
    served, agent = mounted(
        package,
        client,
        f"""
        def mount({signature}):
            @{name}.get("/here")
            async def here():
                return "here"
        """,
    )

    assert served.kind == "router"
    assert agent.get("/here").json() == "here"


def test_a_mount_method_of_an_object_is_called(package, client):
    _, agent = mounted(
        package,
        client,
        """
        class Agent:
            def mount(self, app):
                app.add_api_route("/here", lambda: "here")

        agent = Agent()
        """,
        "rest_routes:agent.mount",
    )

    assert agent.get("/here").json() == "here"


def test_an_async_mount_that_does_not_wait_is_served(package, client):
    _, agent = mounted(
        package,
        client,
        """
        async def mount(app):
            @app.get("/here")
            async def here():
                return "here"
        """,
    )

    assert agent.get("/here").json() == "here"


@pytest.mark.parametrize("made", ["FastAPI(title='own')", "APIRouter()"])
def test_a_factory_without_parameters_is_served(package, client, made):
    served, agent = mounted(
        package,
        client,
        f"""
        from fastapi import APIRouter, FastAPI

        def create():
            made = {made}

            @made.get("/here")
            async def here():
                return "here"

            return made
        """,
        "rest_routes:create",
    )

    assert agent.get("/here").json() == "here"
    assert served.kind == ("asgi" if made.startswith("FastAPI") else "router")


@pytest.mark.parametrize("made", ["FastAPI()", "APIRouter()"])
def test_what_a_mount_function_returns_is_used_when_it_ignored_its_argument(package, client, made):
    _, agent = mounted(
        package,
        client,
        f"""
        from fastapi import APIRouter, FastAPI

        def mount(app):
            own = {made}
            own.add_api_route("/here", lambda: "here")
            return own
        """,
    )

    assert agent.get("/here").json() == "here"


def test_a_router_that_was_included_and_returned_is_served_once(package, client):
    _, agent = mounted(
        package,
        client,
        """
        from fastapi import APIRouter

        def mount(app):
            router = APIRouter()
            router.add_api_route("/here", lambda: "here")
            app.include_router(router, prefix="/api")
            return router
        """,
    )

    assert agent.get("/api/here").json() == "here"
    assert agent.get("/here").status_code == 404


@pytest.mark.parametrize("made", ["FastAPI()", "APIRouter()"])
def test_an_app_or_router_named_directly_is_served(package, client, made):
    _, agent = mounted(
        package,
        client,
        f"""
        from fastapi import APIRouter, FastAPI

        own = {made}
        own.add_api_route("/here", lambda: "here")
        """,
        "rest_routes:own",
    )

    assert agent.get("/here").json() == "here"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mount(app, router, third, fourth): pass", "(app, router, third, fourth)"),
        ("def mount(*, app, router): pass", "keywords"),
        ("def mount(): pass", "takes no argument and returned nothing"),
        ("mount = 5", "is a `int`"),
        ("async def mount(app):\n    import asyncio\n    await asyncio.sleep(0)", "waits"),
    ],
)
def test_what_is_no_mount_function_is_refused(package, text, message):
    package.write("rest_routes.py", text)

    with pytest.raises(LoadFailure) as failure:
        rest.mount("rest_routes:mount", package.python_path)

    assert failure.value.reason == "wrong-shape"
    assert message in failure.value.message


@pytest.mark.parametrize("statement", ["1 / 0", "raise SystemExit(2)", "app.no_such_thing()"])
def test_a_mount_function_that_raises_is_a_failure_with_its_traceback(package, statement):
    package.write("rest_routes.py", f"def mount(app):\n    {statement}")

    with pytest.raises(LoadFailure) as failure:
        rest.mount("rest_routes:mount", package.python_path)

    assert failure.value.reason == "startup-failed"
    assert "`rest_routes:mount` failed" in failure.value.message
    assert "rest_routes.py" in failure.value.traceback


def test_only_apps_of_the_agents_own_look_up_telemetry(monkeypatch):
    from fastapi import FastAPI
    from opentelemetry import trace

    monkeypatch.setattr(trace, "get_tracer_provider", object)

    assert FastAPI()._native_telemetry.enabled()
    assert not mounting.new_app()._native_telemetry.enabled()
