"""Compiles files of a deps layer: the application PAR runs when it has installed one.

Only CPython 3.14 writes the bytecode CPython 3.14 reads, and the guest's is the only one there is.
Source is read and compiled here, never imported: no code of a dependency runs.
"""

import json
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash

SITE_PACKAGES = "/deps/lib/python3.14/site-packages"
"""Where the agent will import from: what tracebacks name as the file."""

LARGEST_SOURCE = 4 << 20
"""Bytes of the largest file that is compiled. Larger ones hold data, and take the memory."""

warnings.simplefilter("ignore")


async def app(scope, receive, send):
    """Answers a JSON list of paths with one frame each: four bytes of length, then bytecode.

    A frame of length 0 is a file that cannot be compiled: the agent that imports it will hear why.
    """
    if scope["type"] != "http":
        return
    paths = json.loads(await _body(receive))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for path in paths:
        bytecode = compiled(f"{SITE_PACKAGES}/{path}")
        frame = len(bytecode).to_bytes(4, "big") + bytecode
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def compiled(path):
    """The content of the `.pyc` of a file, `b""` when there can be none.

    It is trusted by its hash and never compared (PEP 552): the layer is read-only.
    """
    try:
        with open(path, "rb") as file:
            source = file.read(LARGEST_SOURCE + 1)
        if len(source) > LARGEST_SOURCE:
            return b""
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return b""
    return bytes(_code_to_hash_pyc(code, source_hash(source), checked=False))


async def _body(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
