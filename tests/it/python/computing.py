"""Ways to compute for ever in one call of C, where no bytecode is in between."""

import collections
import itertools
import math
import opcode
import re
import types


def pattern():
    re.match("(a+)+$", "a" * 80 + "b")


def factorial():
    math.factorial(50_000_000)


def endless_sum():
    sum(itertools.repeat(0))


def copies():
    block = bytes(64 << 20)
    collections.deque(map(block.__add__, itertools.repeat(b"x")), maxlen=0)


def calls():
    """Functions of C that call each other, three to the power of sixty times, without a loop."""
    nested = slice(1, 2, 3)
    for _ in range(60):
        nested = slice(nested, nested, nested)
    hash(nested)


def jump():
    """Bytecode no compiler writes: one jump to itself, at which Python looks for no signal."""
    code = bytes([opcode.opmap["RESUME"], 0, opcode.opmap["JUMP_BACKWARD_NO_INTERRUPT"], 1])
    types.FunctionType((lambda: None).__code__.replace(co_code=code), {})()


WAYS = {
    "/pattern": pattern,
    "/factorial": factorial,
    "/sum": endless_sum,
    "/copies": copies,
    "/calls": calls,
    "/jump": jump,
}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    WAYS.get(scope["path"], lambda: None)()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
