"""Start and stop: the ASGI lifespan and the functions of older agents."""

from __future__ import annotations

import asyncio

import pytest

from par_guest import rest
from par_guest.lifespan import Lifespan
from par_guest.loading import LoadFailure


def live(lifespan):
    """Starts and stops the agent; what happened in between is up to the agent."""

    async def run():
        await lifespan.startup()
        await asyncio.sleep(0)
        await lifespan.shutdown()

    asyncio.run(run())


def served(package, text, load=rest.application, name="main:app"):
    package.write("main.py", text)
    return load(name, package.python_path)


def module_value(name):
    import main

    return getattr(main, name)


def test_a_fastapi_lifespan_runs_around_the_requests(package):
    agent = served(
        package,
        """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        seen = []

        @asynccontextmanager
        async def lifespan(app):
            seen.append("start")
            yield {"pool": "open"}
            seen.append("stop")

        app = FastAPI(lifespan=lifespan)
        """,
    )

    live(agent.lifespan)

    assert module_value("seen") == ["start", "stop"]
    assert agent.lifespan.state == {"pool": "open"}
    assert agent.lifespan.wanted


def test_one_task_opens_and_closes_what_the_lifespan_holds(package):
    agent = served(
        package,
        """
        import asyncio
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        tasks = []

        @asynccontextmanager
        async def lifespan(app):
            tasks.append(asyncio.current_task())
            yield
            tasks.append(asyncio.current_task())

        app = FastAPI(lifespan=lifespan)
        """,
    )

    live(agent.lifespan)

    opened, closed = module_value("tasks")
    assert opened is closed


def test_event_functions_run(package):
    agent = served(
        package,
        """
        from fastapi import FastAPI

        seen = []

        def mount(app: FastAPI):
            app.add_event_handler("startup", lambda: seen.append("start"))

            @app.on_event("shutdown")
            async def stop():
                seen.append("stop")
        """,
        rest.mount,
        "main:mount",
    )

    live(agent.lifespan)

    assert module_value("seen") == ["start", "stop"]


def test_a_startup_that_raises_is_a_failure_with_its_traceback(package):
    agent = served(
        package,
        """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            raise RuntimeError("no database")
            yield

        app = FastAPI(lifespan=lifespan)
        """,
    )

    with pytest.raises(LoadFailure) as failure:
        live(agent.lifespan)

    assert failure.value.reason == "startup-failed"
    assert failure.value.message == ("the application failed to start: RuntimeError: no database")
    assert "main.py" in failure.value.traceback


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_lifespan_that_exits_fails_the_start_and_not_the_loop(error):
    async def app(scope, receive, send):
        await receive()
        raise error

    with pytest.raises(LoadFailure) as failure:
        live(Lifespan(app))

    assert failure.value.reason == "startup-failed"


def without_lifespan_by_raising():
    async def app(scope, receive, send):
        assert scope["type"] == "http"

    return app


def without_lifespan_by_returning():
    async def app(scope, receive, send):
        return

    return app


def without_lifespan_by_answering_http():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    return app


@pytest.mark.parametrize(
    "app",
    [
        without_lifespan_by_raising(),
        without_lifespan_by_returning(),
        without_lifespan_by_answering_http(),
    ],
)
def test_an_application_without_lifespan_starts_and_stops(app):
    live(Lifespan(app))


def test_an_application_that_ends_early_stops_at_once():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})

    live(Lifespan(app))


def test_a_shutdown_that_raises_is_logged_and_ends_anyway(caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    live(Lifespan(app))

    assert "failed to stop: stuck" in caplog.text


def test_a_raw_application_that_raises_while_it_stops_is_logged(caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("stuck")

    live(Lifespan(app))

    assert "failed to stop" in caplog.text
    assert "ValueError: stuck" in caplog.text


def test_a_lifespan_that_breaks_while_the_agent_serves_is_logged(caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError("gone")

    live(Lifespan(app))

    assert "the application's lifespan broke off" in caplog.text
    assert "ValueError: gone" in caplog.text


def test_an_application_that_never_returns_is_left_behind(monkeypatch):
    monkeypatch.setattr("par_guest.lifespan._LINGER", 0)

    async def app(scope, receive, send):
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    live(Lifespan(app))


def test_a_shutdown_without_a_start_does_nothing():
    called = []

    async def app(scope, receive, send):
        called.append(scope)

    asyncio.run(Lifespan(app).shutdown())

    assert called == []


def test_a_wsgi_application_has_nothing_to_be_told(package):
    agent = served(package, "def app(environ, start_response): pass")

    assert not agent.lifespan.wanted
    live(agent.lifespan)


HOOKS = """
    seen = []

    async def initialize():
        seen.append("initialize")

    async def startup(app):
        seen.append("startup")
        app.state.ready = True

    def shutdown():
        seen.append("shutdown")

    def mount(app):
        @app.get("/ready")
        def ready():
            return app.state.ready
"""


def test_the_functions_of_older_agents_are_called_once_and_in_order(package, client):
    agent = served(package, HOOKS, rest.mount, "main:mount")

    live(agent.lifespan)

    assert module_value("seen") == ["initialize", "startup", "shutdown"]
    assert client(agent.asgi).get("/ready").json() is True


@pytest.mark.parametrize(
    "given_away",
    [
        "app.on_event('startup')(startup)",
        "app.add_event_handler('startup', startup)",
        "app.post('/startup')(startup)",
    ],
)
def test_a_function_the_app_calls_is_not_called_by_par(package, given_away):
    agent = served(
        package,
        f"""
        calls = []

        async def startup():
            calls.append("called")

        def mount(app):
            {given_away}
        """,
        rest.mount,
        "main:mount",
    )

    live(agent.lifespan)

    assert module_value("calls") == ([] if "post" in given_away else ["called"])


@pytest.mark.parametrize(
    "definition",
    [
        "from os.path import exists as startup",
        "def startup(one, two): calls.append(1)",
        "class startup:\n            def __init__(self): calls.append(1)",
        "async def startup():\n            calls.append(1)\n            yield",
        "startup = 5",
    ],
)
def test_what_only_has_the_name_is_not_called(package, definition):
    agent = served(
        package,
        f"""
        calls = []
        {definition}

        def mount(app): pass
        """,
        rest.mount,
        "main:mount",
    )

    live(agent.lifespan)

    assert module_value("calls") == []


def test_an_application_of_the_agents_own_calls_its_functions_itself(package):
    agent = served(
        package,
        """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        calls = []

        async def startup():
            calls.append("called")

        @asynccontextmanager
        async def lifespan(app):
            await startup()
            yield

        app = FastAPI(lifespan=lifespan)
        """,
    )

    live(agent.lifespan)

    assert module_value("calls") == ["called"]


@pytest.mark.parametrize("statement", ["1 / 0", "raise SystemExit(1)"])
def test_a_startup_function_that_raises_is_a_failure(package, statement):
    agent = served(
        package,
        f"def startup(): {statement}\ndef mount(app): pass",
        rest.mount,
        "main:mount",
    )

    with pytest.raises(LoadFailure) as failure:
        live(agent.lifespan)

    assert failure.value.reason == "startup-failed"
    assert "the agent's `startup` failed" in failure.value.message


def test_a_shutdown_function_that_raises_is_logged(package, caplog):
    agent = served(package, "def shutdown(): 1 / 0\ndef mount(app): pass", rest.mount, "main:mount")

    live(agent.lifespan)

    assert "the agent's `shutdown` failed" in caplog.text
