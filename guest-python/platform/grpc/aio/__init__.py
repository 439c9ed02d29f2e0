"""Stands in for `grpc.aio`: the same as `grpc`, for coroutines."""

from grpc import _registry, _types
from grpc._types import (
    Compression,
    RefusedCall,
    RpcError,
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)

__all__ = [
    "EOF",
    "AbortError",
    "AioRpcError",
    "BaseError",
    "Call",
    "Channel",
    "ClientCallDetails",
    "ClientInterceptor",
    "Compression",
    "InternalError",
    "Metadata",
    "RpcContext",
    "RpcError",
    "Server",
    "ServerInterceptor",
    "ServicerContext",
    "StreamStreamCall",
    "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable",
    "StreamUnaryCall",
    "StreamUnaryClientInterceptor",
    "StreamUnaryMultiCallable",
    "UnaryStreamCall",
    "UnaryStreamClientInterceptor",
    "UnaryStreamMultiCallable",
    "UnaryUnaryCall",
    "UnaryUnaryClientInterceptor",
    "UnaryUnaryMultiCallable",
    "UsageError",
    "init_grpc_aio",
    "insecure_channel",
    "secure_channel",
    "server",
    "shutdown_grpc_aio",
]


class BaseError(Exception):
    """An error of this interface."""


class UsageError(BaseError):
    """It was used in a way it cannot be used."""


class AbortError(BaseError):
    """A servicer ended its call."""


class InternalError(BaseError):
    """It failed itself."""


#: A call that did not succeed; here always one that was not made.
AioRpcError = RefusedCall


class _EndOfStream:
    def __bool__(self):
        return False


EOF = _EndOfStream()


class Metadata(tuple):
    """Pairs of names and values that go with a call."""

    __slots__ = ()

    def __new__(cls, *pairs):
        return super().__new__(cls, pairs)

    @classmethod
    def from_tuple(cls, raw_metadata):
        return cls(*(raw_metadata or ()))

    def get(self, key, default=None):
        return next((value for name, value in self if name == key), default)


class RpcContext(_types.RpcContext):
    """What is known about a call."""


class Call(RpcContext):
    """A call as its caller sees it."""


class UnaryUnaryCall(Call):
    """A call with one request and one response."""


class UnaryStreamCall(Call):
    """A call with one request and many responses."""


class StreamUnaryCall(Call):
    """A call with many requests and one response."""


class StreamStreamCall(Call):
    """A call with many requests and many responses."""


class ServicerContext(RpcContext):
    """A call as the servicer sees it."""


class ClientCallDetails(_types.ClientCallDetails):
    """What a caller's interceptor may change."""


class ServerInterceptor:
    """Sees calls before their servicer."""

    async def intercept_service(self, continuation, handler_call_details):
        raise NotImplementedError


class ClientInterceptor:
    """Sees calls before they are made."""


class UnaryUnaryClientInterceptor(ClientInterceptor):
    """Sees calls with one request and one response."""


class UnaryStreamClientInterceptor(ClientInterceptor):
    """Sees calls with one request and many responses."""


class StreamUnaryClientInterceptor(ClientInterceptor):
    """Sees calls with many requests and one response."""


class StreamStreamClientInterceptor(ClientInterceptor):
    """Sees calls with many requests and many responses."""


class _RefusedCallable:
    def __init__(self, target, method):
        self._target = target
        self._method = method

    def __call__(self, *args, **kwargs):
        return _NeverMade(RefusedCall(self._target, self._method))


class _NeverMade(Call):
    """A call that fails when it is awaited or iterated, as one that cannot connect does."""

    def __init__(self, error):
        self._error = error

    def __await__(self):
        raise self._error
        yield  # makes this a generator, which `await` needs

    def __aiter__(self):
        return self

    async def __anext__(self):
        raise self._error

    async def read(self):
        raise self._error

    async def write(self, request):
        raise self._error

    async def done_writing(self):
        raise self._error

    async def code(self):
        return self._error.code()

    async def details(self):
        return self._error.details()

    def cancel(self):
        return False

    def done(self):
        return True


class Channel(_types.Channel):
    """A channel that never connects."""

    def __init__(self, target=""):
        self._target = target

    def unary_unary(self, method, *args, **kwargs):
        return _RefusedCallable(self._target, method)

    unary_stream = stream_unary = stream_stream = unary_unary

    async def channel_ready(self):
        raise RefusedCall(self._target, "connect")

    def get_state(self, try_to_connect=False):
        return _types.ChannelConnectivity.TRANSIENT_FAILURE

    async def close(self, grace=None):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        return False


class Server(_registry.MethodRegistry, _types.Server):
    """A server that remembers what is registered with it."""

    async def start(self):
        """Nothing to start: PAR listens."""

    async def stop(self, grace=None):
        """Nothing to stop."""

    async def wait_for_termination(self, timeout=None):
        raise RuntimeError(_registry.WAITS_FOREVER)


def server(
    migration_thread_pool=None,
    handlers=None,
    interceptors=None,
    options=None,
    maximum_concurrent_rpcs=None,
    compression=None,
):
    made = Server()
    made.add_generic_rpc_handlers(handlers or ())
    return made


def insecure_channel(target, options=None, compression=None, interceptors=None):
    return Channel(target)


def secure_channel(target, credentials, options=None, compression=None, interceptors=None):
    return Channel(target)


def init_grpc_aio():
    """Nothing to start."""


def shutdown_grpc_aio():
    """Nothing to stop."""
