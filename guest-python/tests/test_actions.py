"""`a2a.service`: what real agents return from it, and what their callers get."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from par_guest import actions
from par_guest.actions import ActionExited, ActionNotFound
from par_guest.loading import LoadFailure

OLD_EXAMPLE = """
    import grpc
    from concurrent import futures


    def create_grpc_server():
        class Service:
            def __init__(self):
                self.custom_handlers = {
                    "shout": self.shout,
                    "state": self.state,
                    "sum": self.sum,
                }

            async def shout(self, parameters):
                return f"Said: {parameters.get('text', '').upper()}"

            async def state(self, parameters):
                return {"state": "running", "items": 42, "last": None}

            async def sum(self, parameters):
                return {"sum": float(parameters["a"]) + float(parameters["b"])}

        return Service()
"""


def loaded(package, text, name="a2a_service:create"):
    package.write("a2a_service.py", text)
    return actions.load(name, package.python_path)


def invoke(registered, action, parameters=()):
    return asyncio.run(registered.invoke(action, dict(parameters)))


def test_an_object_with_custom_handlers_registers_them_in_order(package):
    registered = loaded(package, OLD_EXAMPLE, "a2a_service:create_grpc_server")

    assert registered.names == ["shout", "state", "sum"]
    assert registered.warnings == ()
    assert invoke(registered, "shout", {"text": "ab"}) == "Said: AB"
    assert invoke(registered, "sum", {"a": "1", "b": "2.5"}) == "{'sum': 3.5}"


@pytest.mark.parametrize("function", ["create_grpc_server", "create_service"])
def test_the_function_has_two_default_names(package, function):
    registered = loaded(package, f"def {function}(): return {{'a': str}}", "a2a_service")

    assert registered.names == ["a"]


def test_the_older_default_name_wins(package):
    registered = loaded(
        package,
        """
        def create_service(): return {"new": str}
        def create_grpc_server(): return {"old": str}
        """,
        "a2a_service",
    )

    assert registered.names == ["old"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{'a': 1, 'b': [True, None]}", "{'a': 1, 'b': [True, None]}"),
        ("None", "None"),
        ("b'xy'", "b'xy'"),
        ("1.0", "1.0"),
        ("'plain'", "plain"),
        ("{'success': False, 'error': 'no'}", "{'success': False, 'error': 'no'}"),
        ("'\\u00e4\\n'", "\u00e4\n"),
    ],
)
def test_the_result_is_the_str_of_the_value(package, value, text):
    registered = loaded(
        package,
        f"""
        def create():
            async def handler(parameters):
                return {value}
            return {{"a": handler}}
        """,
    )

    assert invoke(registered, "a") == text


@pytest.mark.parametrize(
    "returned",
    [
        "{'custom_handlers': {'a': handler}}",
        "{'a': handler}",
        "type('Service', (), {'custom_handlers': {'a': handler}})()",
    ],
)
@pytest.mark.parametrize("prefix", ["", "async "])
def test_every_shape_of_registration_runs_its_handler(package, returned, prefix):
    registered = loaded(
        package,
        f"""
        {prefix}def handler(parameters):
            return sorted(parameters)

        def create():
            return {returned}
        """,
    )

    assert registered.names == ["a"]
    assert invoke(registered, "a", {"y": "1", "x": "2"}) == "['x', 'y']"


def test_a_dictionary_or_object_may_be_named_directly(package):
    registered = loaded(package, "handlers = {'a': len}", "a2a_service:handlers")

    assert invoke(registered, "a", {"x": "1"}) == "1"


def test_a_class_is_made(package):
    registered = loaded(
        package,
        """
        class Service:
            def __init__(self):
                self.custom_handlers = {"a": len}
        """,
        "a2a_service:Service",
    )

    assert registered.names == ["a"]


def test_an_async_service_function_is_served(package):
    registered = loaded(package, "async def create(): return {'a': len}")

    assert registered.names == ["a"]


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ("print('stub')", "returned nothing"),
        ("return object()", "returned a `object` without `custom_handlers`"),
        ("return {}", "returned an empty dictionary"),
        ("return {'custom_handlers': {}, 'streaming_handlers': {'s': len}}", "streaming"),
    ],
)
def test_a_service_without_actions_is_up_with_a_warning(package, body, warning):
    registered = loaded(package, f"def create():\n    {body}")

    assert registered.names == []
    (remark,) = registered.warnings
    assert warning in remark
    with pytest.raises(ActionNotFound):
        invoke(registered, "a")


def test_an_unknown_action_is_named_as_the_original_named_it(package):
    registered = loaded(package, "def create(): return {'a': len}")

    with pytest.raises(ActionNotFound) as error:
        invoke(registered, "b")

    assert str(error.value) == "No handler found for action: b"


def test_what_a_handler_raises_reaches_the_caller_as_it_is(package):
    registered = loaded(package, "def create(): return {'a': lambda p: p['k']}")

    with pytest.raises(KeyError) as error:
        invoke(registered, "a")

    assert str(error.value) == "'k'"
    assert invoke(registered, "a", {"k": "v"}) == "v"


@pytest.mark.parametrize("exit_call", ["sys.exit(3)", "raise KeyboardInterrupt"])
@pytest.mark.parametrize("prefix", ["", "async "])
def test_a_handler_that_exits_ends_only_its_own_call(package, exit_call, prefix):
    registered = loaded(
        package,
        f"""
        import sys

        {prefix}def handler(parameters):
            {exit_call}

        def create():
            return {{"exit": handler, "stay": lambda p: "here"}}
        """,
    )

    async def both():
        with pytest.raises(ActionExited):
            await registered.invoke("exit", {})
        return await registered.invoke("stay", {})

    assert asyncio.run(both()) == "here"


def test_a_handler_changes_its_own_parameters_only(package):
    registered = loaded(package, "def create(): return {'a': lambda p: p.clear()}")
    parameters = {"k": "v"}

    asyncio.run(registered.invoke("a", parameters))

    assert parameters == {"k": "v"}


def test_json_parameters_keep_their_types(package):
    registered = loaded(package, "def create(): return {'a': lambda p: p['n'] + 1}")

    assert invoke(registered, "a", {"n": 1}) == "2"


@pytest.mark.parametrize("asynchronous", [True, False])
def test_each_call_has_a_context_of_its_own(asynchronous):
    seen = ContextVar("seen", default=0)

    def count(_parameters):
        seen.set(seen.get() + 1)
        return seen.get()

    async def count_async(parameters):
        return count(parameters)

    registered = actions.registered({"count": count_async if asynchronous else count}, "m:f")

    async def twice():
        return [await registered.invoke("count", {}) for _ in range(2)], seen.get()

    assert asyncio.run(twice()) == (["1", "1"], 0)


def test_cancelling_a_call_cancels_its_handler():
    ended = []

    async def wait(_parameters):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    registered = actions.registered({"wait": wait}, "m:f")

    async def cancel():
        call = asyncio.ensure_future(registered.invoke("wait", {}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancel())
    assert ended == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def create(port): pass", "needs arguments"),
        ("def create(): return {'a': 5}", "action `a` of `a2a_service:create` is a `int`"),
        ("def create(): return {1: len}", "registers the action 1"),
        (
            "class S: custom_handlers = [len]\ndef create(): return S()",
            "is a `list`; expected a dictionary of functions",
        ),
    ],
)
def test_handlers_that_cannot_be_called_are_refused(package, text, message):
    with pytest.raises(LoadFailure) as failure:
        loaded(package, text)

    assert failure.value.reason == "wrong-shape"
    assert message in failure.value.message


def test_a_service_function_that_raises_is_a_failure(package):
    with pytest.raises(LoadFailure) as failure:
        loaded(package, "def create(): raise RuntimeError('no key')")

    assert failure.value.reason == "startup-failed"
    assert failure.value.message == "`a2a_service:create` failed: RuntimeError: no key"


SERVICER = """
    import grpc
    from pixell_runtime.proto import agent_pb2, agent_pb2_grpc

    class Agent(agent_pb2_grpc.AgentServiceServicer):
        {prefix}def Invoke(self, request, context):
            if request.action == "abort":
                context.abort(grpc.StatusCode.NOT_FOUND, "nothing there")
            if request.action == "status":
                context.set_code(grpc.StatusCode.INTERNAL)
                context.set_details("broken")
            return agent_pb2.ActionResult(
                success=request.action != "fail",
                result=f"{{request.action}} {{dict(request.parameters)}}",
                error="refused",
            )

    def create():
        return Agent()

    def create_server():
        server = grpc.server(None)
        agent_pb2_grpc.add_AgentServiceServicer_to_server(Agent(), server)
        server.add_insecure_port("[::]:50051")
        server.start()
        return server

    def create_aio_server():
        server = grpc.aio.server()
        agent_pb2_grpc.add_AgentServiceServicer_to_server(Agent(), server)
        return server
"""


@pytest.mark.parametrize("prefix", ["", "async "])
@pytest.mark.parametrize("function", ["create", "create_server", "create_aio_server"])
def test_a_servicer_answers_every_action(package, prefix, function):
    registered = loaded(package, SERVICER.format(prefix=prefix), f"a2a_service:{function}")

    assert registered.names == []
    assert invoke(registered, "any", {"n": 1, "s": "x"}) == "any {'n': '1', 's': 'x'}"
    for action, text in (("fail", "refused"), ("abort", "nothing there"), ("status", "broken")):
        with pytest.raises(RuntimeError, match=text):
            invoke(registered, action)


def test_a_handler_nobody_waits_for_is_cancelled(package):
    registered = loaded(
        package,
        """
        import asyncio

        seen = []


        async def wait(parameters):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise


        async def stay(parameters):
            try:
                await asyncio.sleep(0.001)
                return "stayed"
            finally:
                seen.append("ended")


        def create():
            return {"wait": wait, "stay": stay, "seen": lambda parameters: seen}
        """,
    )

    async def ask():
        gone = asyncio.Event()
        waiting = asyncio.ensure_future(registered.invoke("wait", {}, gone.wait))
        stayed = await registered.invoke("stay", {}, asyncio.Event().wait)
        assert not waiting.done()
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return stayed, await registered.invoke("seen", {}, gone.wait)

    assert asyncio.run(ask()) == ("stayed", "['ended', 'cancelled']")
