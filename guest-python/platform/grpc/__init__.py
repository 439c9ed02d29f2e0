"""Stands in for grpcio, which is native code and opens sockets.

Agents import it to write action handlers, servicers and stubs. Servers remember what is
registered with them, and PAR calls it; channels refuse each call with `UNAVAILABLE`.
"""

from concurrent import futures as _futures

from grpc import _registry, _types
from grpc._types import *  # noqa: F403 - the public names are listed below
from grpc._types import (
    CallCredentials,
    Channel,
    ChannelCredentials,
    RefusedCall,
    Server,
    ServerCertificateConfiguration,
    ServerCredentials,
)

__version__ = "1.76.0"


class _RefusingCallable:
    def __init__(self, target, method):
        self._target = target
        self._method = method

    def __call__(self, *args, **kwargs):
        raise RefusedCall(self._target, self._method)

    with_call = __call__

    def future(self, *args, **kwargs):
        future = _futures.Future()
        future.set_exception(RefusedCall(self._target, self._method))
        return future


class _RefusingChannel(Channel):
    """A channel that never connects."""

    def __init__(self, target):
        self._target = target

    def unary_unary(self, method, *args, **kwargs):
        return _RefusingCallable(self._target, method)

    unary_stream = stream_unary = stream_stream = unary_unary

    def subscribe(self, callback, try_to_connect=False):
        pass

    def unsubscribe(self, callback):
        pass

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        return False


class _Stopped:
    """The end of a server that never ran."""

    def wait(self, timeout=None):
        return True

    def is_set(self):
        return True


class _Server(_registry.MethodRegistry, Server):
    def start(self):
        """Nothing to start: PAR listens."""

    def stop(self, grace=None):
        return _Stopped()

    def wait_for_termination(self, timeout=None):
        raise RuntimeError(_registry.WAITS_FOREVER)


def server(
    thread_pool=None,
    handlers=None,
    interceptors=None,
    options=None,
    maximum_concurrent_rpcs=None,
    compression=None,
    xds=False,
):
    made = _Server()
    made.add_generic_rpc_handlers(handlers or ())
    return made


def insecure_channel(target, options=None, compression=None):
    return _RefusingChannel(target)


def secure_channel(target, credentials, options=None, compression=None):
    return _RefusingChannel(target)


def intercept_channel(channel, *interceptors):
    return channel


def channel_ready_future(channel):
    future = _futures.Future()
    future.set_exception(RefusedCall(getattr(channel, "_target", ""), "connect"))
    return future


def ssl_channel_credentials(root_certificates=None, private_key=None, certificate_chain=None):
    return ChannelCredentials(root_certificates, private_key, certificate_chain)


def local_channel_credentials(local_connect_type=None):
    return ChannelCredentials(local_connect_type)


def composite_channel_credentials(channel_credentials, *call_credentials):
    return ChannelCredentials(channel_credentials, *call_credentials)


def metadata_call_credentials(metadata_plugin, name=None):
    return CallCredentials(metadata_plugin, name)


def access_token_call_credentials(access_token):
    return CallCredentials(access_token)


def composite_call_credentials(*call_credentials):
    return CallCredentials(*call_credentials)


def ssl_server_credentials(
    private_key_certificate_chain_pairs, root_certificates=None, require_client_auth=False
):
    return ServerCredentials(private_key_certificate_chain_pairs, root_certificates)


def ssl_server_certificate_configuration(
    private_key_certificate_chain_pairs, root_certificates=None
):
    return ServerCertificateConfiguration(private_key_certificate_chain_pairs, root_certificates)


def local_server_credentials(local_connect_type=None):
    return ServerCredentials(local_connect_type)


def insecure_server_credentials():
    return ServerCredentials()


# As grpcio does it: `grpc.aio` is there after `import grpc`.
from grpc import aio, experimental  # noqa: E402, F401

__all__ = [
    name for name in (*vars(_types), *globals()) if not name.startswith("_") and name in globals()
]
