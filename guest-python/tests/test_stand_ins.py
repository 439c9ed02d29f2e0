"""What agents and libraries import that the sandbox does not have."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import grpc
import pytest
from pixell_runtime.proto import agent_pb2, agent_pb2_grpc
from pixell_runtime.proto._wire import DecodeError

PLATFORM = Path(__file__).parent.parent / "platform"


def run_with_stand_ins(code):
    """Runs code in a Python whose path begins with the stand-ins, as the guest's does."""
    ran = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        env={"PYTHONPATH": str(PLATFORM)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_pythons_own_ssl_module_loads_on_the_stand_in():
    loaded_from = run_with_stand_ins("import ssl; print(ssl._ssl.__file__)")

    assert loaded_from == str(PLATFORM / "_ssl.py")


def test_tls_settings_behave_as_those_of_openssl():
    printed = run_with_stand_ins(
        """
        import ssl

        context = ssl.create_default_context()
        assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
        assert context.protocol is ssl.PROTOCOL_TLS_CLIENT
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.load_default_certs()
        print(context.minimum_version.name, context.verify_mode.name, context.get_ca_certs())
        """
    )

    assert printed == "TLSv1_3 CERT_NONE []"


def test_an_http_client_can_be_made():
    printed = run_with_stand_ins("import httpx; print(type(httpx.AsyncClient()).__name__)")

    assert printed == "AsyncClient"


@pytest.mark.parametrize(
    "use",
    [
        "ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())",
    ],
)
def test_whatever_would_speak_tls_is_refused(use):
    printed = run_with_stand_ins(
        f"""
        import ssl

        try:
            {use}
        except ssl.SSLError as error:
            print(error)
        """
    )

    assert "TLS is not made inside the sandbox" in printed


def test_a_tls_buffer_gives_back_what_it_took():
    printed = run_with_stand_ins(
        """
        import ssl

        buffer = ssl.MemoryBIO()
        buffer.write(b"abc")
        assert buffer.read(2) == b"ab" and buffer.pending == 1 and not buffer.eof
        buffer.write_eof()
        print(buffer.read(), buffer.eof)
        """
    )

    assert printed == "b'c' True"


def test_a_channel_can_be_made_and_each_call_is_refused():
    stub = agent_pb2_grpc.AgentServiceStub(grpc.insecure_channel("db.test:50051"))

    with pytest.raises(grpc.RpcError) as error:
        stub.Ping(agent_pb2.Empty())

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "`/pixell.agent.AgentService/Ping` of `db.test:50051`" in error.value.details()


def test_an_async_channel_refuses_when_it_is_awaited():
    async def call():
        async with grpc.aio.insecure_channel("db.test:50051") as channel:
            await agent_pb2_grpc.AgentServiceStub(channel).Ping(agent_pb2.Empty())

    with pytest.raises(grpc.aio.AioRpcError, match="db"):
        asyncio.run(call())


def test_a_server_remembers_its_methods_and_never_waits():
    server = grpc.server(None)

    agent_pb2_grpc.add_AgentServiceServicer_to_server(agent_pb2_grpc.AgentServiceServicer(), server)

    assert server.add_insecure_port("[::]:50051") == 50051
    assert "/pixell.agent.AgentService/Invoke" in server.registered_methods
    server.start()
    with pytest.raises(RuntimeError, match="PAR serves the A2A port"):
        server.wait_for_termination()
    assert server.stop(0).wait()


def test_a_generic_handler_of_the_agents_own_is_asked_for_invoke():
    class Own(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            if handler_call_details.method.endswith("/Invoke"):
                return grpc.unary_unary_rpc_method_handler(len)
            return None

    server = grpc.server(None, handlers=[Own()])

    (method,) = server.registered_methods.values()
    assert method.unary_unary is len


def test_generated_code_of_any_version_accepts_the_stand_in():
    from grpc._utilities import first_version_is_lower

    assert not first_version_is_lower(grpc.__version__, "99.0.0")


@pytest.mark.parametrize("name", ["StatusCode", "RpcError", "ServicerContext", "aio", "server"])
def test_a_star_import_gives_the_usual_names(name):
    names = {}
    exec("from grpc import *", names)  # noqa: S102 - what some agents write

    assert name in names


# Bytes made by protobuf's own implementation for the same values.
REQUEST = agent_pb2.ActionRequest(
    action="sum",
    parameters={"a": "1"},
    request_id="r-1",
    message=agent_pb2.A2AMessage(jsonrpc="2.0"),
)
REQUEST_BYTES = b'\n\x03sum\x12\x06\n\x01a\x12\x011\x1a\x03r-1"\x05\n\x032.0'
RESULT = agent_pb2.ActionResult(success=True, error="\u00e4", duration_ms=-1)
RESULT_BYTES = b"\x08\x01\x1a\x02\xc3\xa4\x28" + b"\xff" * 9 + b"\x01"


@pytest.mark.parametrize(("message", "data"), [(REQUEST, REQUEST_BYTES), (RESULT, RESULT_BYTES)])
def test_messages_are_coded_as_protobuf_codes_them(message, data):
    assert message.SerializeToString() == data
    assert type(message).FromString(data) == message


def test_repeated_and_map_fields_survive():
    message = agent_pb2.Capabilities(methods=["Ping", "Invoke"], metadata={"k": "v", "e": ""})

    assert agent_pb2.Capabilities.FromString(message.SerializeToString()) == message


def test_unknown_fields_are_skipped():
    assert agent_pb2.Pong.FromString(b"\x98\x06\x01" + b"\n\x01p").message == "p"


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x0a", b"\xff" * 11, b"\x0a\x01\xff", b"\x0b"])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(DecodeError):
        agent_pb2.Pong.FromString(data)


def test_a_message_checks_its_fields_as_protobuf_does():
    with pytest.raises(ValueError, match='has no "nope" field'):
        agent_pb2.Pong(nope=1)
    with pytest.raises(TypeError):
        agent_pb2.Pong(message=5)
    with pytest.raises(AttributeError):
        agent_pb2.ActionRequest().parameters = {"a": "b"}
    pong = agent_pb2.Pong(message="hi")
    pong.timestamp = 7
    assert repr(pong) == "message: 'hi'\ntimestamp: 7\n"


def test_a_message_field_that_is_not_set_reads_as_empty():
    request = agent_pb2.ActionRequest()

    assert not request.HasField("message")
    assert request.message.jsonrpc == ""


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("load_cert_chain('cert.pem')", "client certificates are refused in the sandbox"),
        ("load_verify_locations('/agent/own.pem')", "authorities of an agent are refused"),
        ("load_verify_locations(cadata='PEM')", "authorities of an agent are refused"),
    ],
)
def test_own_certificates_are_refused(use, says):
    printed = run_with_stand_ins(
        f"""
        import ssl

        try:
            ssl.create_default_context().{use}
        except ssl.SSLError as error:
            print(error)
        """
    )

    assert says in printed


def test_the_authorities_a_library_brings_along_are_accepted():
    bundle = "/deps/lib/python3.14/site-packages/certifi/cacert.pem"

    assert run_with_stand_ins(f"import ssl; ssl.create_default_context(cafile={bundle!r})") == ""
