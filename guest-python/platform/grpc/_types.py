"""The types of gRPC that both its interfaces share."""

import abc
import collections
import enum


class StatusCode(enum.Enum):
    """The status a call ends with."""

    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")


class ChannelConnectivity(enum.Enum):
    """How a channel is connected."""

    IDLE = (0, "idle")
    CONNECTING = (1, "connecting")
    READY = (2, "ready")
    TRANSIENT_FAILURE = (3, "transient failure")
    SHUTDOWN = (4, "shutdown")


class Compression(enum.IntEnum):
    """How messages are compressed."""

    NoCompression = 0
    Deflate = 1
    Gzip = 2


class LocalConnectionType(enum.Enum):
    """How local a local connection is."""

    UDS = "uds"
    LOCAL_TCP = "local tcp"


class RpcError(Exception):
    """A call that did not succeed."""


class RefusedCall(RpcError):
    """A call that was not made, because the sandbox has no connections of its own."""

    def __init__(self, target, method):
        super().__init__(
            f"the sandbox opens no gRPC connections, so `{method}` of `{target}` was not called"
        )

    def code(self):
        return StatusCode.UNAVAILABLE

    def details(self):
        return self.args[0]

    def initial_metadata(self):
        return ()

    def trailing_metadata(self):
        return ()

    def debug_error_string(self):
        return self.args[0]


class FutureTimeoutError(Exception):
    """A future took too long."""


class FutureCancelledError(Exception):
    """A future was cancelled."""


class Future(abc.ABC):
    """The result of a call to come."""


class RpcContext(abc.ABC):
    """What is known about a call."""


class Call(RpcContext):
    """A call as its caller sees it."""


class ServicerContext(RpcContext):
    """A call as the servicer sees it."""


class Status:
    """The status of a call, with its text."""

    code = None
    details = None
    trailing_metadata = None


class HandlerCallDetails:
    """Which method is called."""

    def __init__(self, method="", invocation_metadata=()):
        self.method = method
        self.invocation_metadata = invocation_metadata


class ClientCallDetails:
    """What a caller's interceptor may change."""


class ServerInterceptor:
    """Sees calls before their servicer."""

    def intercept_service(self, continuation, handler_call_details):
        raise NotImplementedError


class UnaryUnaryClientInterceptor:
    """Sees calls with one request and one response."""


class UnaryStreamClientInterceptor:
    """Sees calls with one request and many responses."""


class StreamUnaryClientInterceptor:
    """Sees calls with many requests and one response."""


class StreamStreamClientInterceptor:
    """Sees calls with many requests and many responses."""


class UnaryUnaryMultiCallable:
    """A method with one request and one response."""


class UnaryStreamMultiCallable:
    """A method with one request and many responses."""


class StreamUnaryMultiCallable:
    """A method with many requests and one response."""


class StreamStreamMultiCallable:
    """A method with many requests and many responses."""


class Channel:
    """A connection to a server."""


class Server:
    """A server of calls."""


class AuthMetadataContext:
    """What credentials are made for."""


class AuthMetadataPluginCallback:
    """Takes the credentials of one call."""


class AuthMetadataPlugin:
    """Makes the credentials of each call."""


class _Credentials:
    def __init__(self, *details):
        self._details = details


class ChannelCredentials(_Credentials):
    """How a channel proves who it is."""


class CallCredentials(_Credentials):
    """How a call proves who makes it."""


class ServerCredentials(_Credentials):
    """How a server proves who it is."""


class ServerCertificateConfiguration(_Credentials):
    """The certificate of a server."""


class RpcMethodHandler(
    collections.namedtuple(
        "RpcMethodHandler",
        (
            "request_streaming",
            "response_streaming",
            "request_deserializer",
            "response_serializer",
            "unary_unary",
            "unary_stream",
            "stream_unary",
            "stream_stream",
        ),
        defaults=(None,) * 6,
    )
):
    """The function that answers one method, and how its messages are coded."""

    __slots__ = ()


class GenericRpcHandler(abc.ABC):
    """Finds the function that answers a method."""

    @abc.abstractmethod
    def service(self, handler_call_details):
        """The `RpcMethodHandler` of the called method, or `None`."""


class ServiceRpcHandler(GenericRpcHandler):
    """Finds the functions of one service."""

    @abc.abstractmethod
    def service_name(self):
        """The name of the service."""


class DictionaryGenericHandler(ServiceRpcHandler):
    """The functions of one service by the name of their method."""

    def __init__(self, service, method_handlers):
        self._name = service
        self.methods = {f"/{service}/{name}": h for name, h in method_handlers.items()}

    def service_name(self):
        return self._name

    def service(self, handler_call_details):
        return self.methods.get(handler_call_details.method)


def unary_unary_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    return RpcMethodHandler(
        False, False, request_deserializer, response_serializer, unary_unary=behavior
    )


def unary_stream_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    return RpcMethodHandler(
        False, True, request_deserializer, response_serializer, unary_stream=behavior
    )


def stream_unary_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    return RpcMethodHandler(
        True, False, request_deserializer, response_serializer, stream_unary=behavior
    )


def stream_stream_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    return RpcMethodHandler(
        True, True, request_deserializer, response_serializer, stream_stream=behavior
    )


def method_handlers_generic_handler(service, method_handlers):
    return DictionaryGenericHandler(service, method_handlers)
