"""Calls without a channel object, as generated code offers them; each is refused."""

from grpc._types import RefusedCall


def unary_unary(request, target, method, *args, **kwargs):
    raise RefusedCall(target, method)


unary_stream = stream_unary = stream_stream = unary_unary
