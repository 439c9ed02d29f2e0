"""The service `pixell.agent.AgentService`, as generated code offers it."""

import grpc

from pixell_runtime.proto import agent_pb2

_SERVICE = "pixell.agent.AgentService"

#: Request and response of each method.
_METHODS = {
    "Health": (agent_pb2.Empty, agent_pb2.HealthStatus),
    "DescribeCapabilities": (agent_pb2.Empty, agent_pb2.Capabilities),
    "Invoke": (agent_pb2.ActionRequest, agent_pb2.ActionResult),
    "Ping": (agent_pb2.Empty, agent_pb2.Pong),
}


class AgentServiceStub:
    """Calls the service over a channel."""

    def __init__(self, channel):
        for name, (request, response) in _METHODS.items():
            call = channel.unary_unary(
                f"/{_SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
                _registered_method=True,
            )
            setattr(self, name, call)


def _unimplemented(context):
    context.set_code(grpc.StatusCode.UNIMPLEMENTED)
    context.set_details("Method not implemented!")
    raise NotImplementedError("Method not implemented!")


class AgentServiceServicer:
    """Answers the service; agents override `Invoke`."""

    def Health(self, request, context):
        _unimplemented(context)

    def DescribeCapabilities(self, request, context):
        _unimplemented(context)

    def Invoke(self, request, context):
        _unimplemented(context)

    def Ping(self, request, context):
        _unimplemented(context)


def add_AgentServiceServicer_to_server(servicer, server):
    method_handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, name),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
        for name, (request, response) in _METHODS.items()
    }
    generic = grpc.method_handlers_generic_handler(_SERVICE, method_handlers)
    server.add_generic_rpc_handlers((generic,))
    server.add_registered_method_handlers(_SERVICE, method_handlers)
