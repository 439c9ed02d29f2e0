"""JSON that nests deeper than the machine's stack reaches is a `RecursionError`.

CPython's decoder calls itself for each level. Elsewhere it notices when the stack ends; in the
sandbox the stack it measures is not the one that ends first, and one request with a hundred
thousand brackets would cost the instance and everybody else's requests with it.
"""

from __future__ import annotations

import json
import re
from typing import Any

#: Levels a document may have. There is room for 12 000 when nothing else is on the stack.
LIMIT = 5_000

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")

#: Levels that are looked at together; documents that nest deeper are rare.
_ROUNDS = 32

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)

_decode = json.JSONDecoder.raw_decode


def apply() -> None:
    """Makes the standard library's decoder count before it decodes."""
    json.JSONDecoder.raw_decode = raw_decode  # type: ignore[method-assign]


def raw_decode(self: json.JSONDecoder, s: str, idx: int = 0) -> tuple[Any, int]:
    """`json.JSONDecoder.raw_decode`, which decodes everything."""
    if len(s) > LIMIT and nests_deeper(s, LIMIT):
        raise RecursionError(f"JSON that nests deeper than {LIMIT} levels cannot be decoded")
    return _decode(self, s, idx)


def nests_deeper(text: str, limit: int) -> bool:
    """Whether `text`, which need not be JSON, opens more than `limit` brackets at once."""
    if text.count("[") + text.count("{") <= limit:
        return False
    # Pairs with nothing between them go, the innermost level in each round: of a wide document
    # little is left. Brackets inside strings only leave more.
    brackets = text.encode("utf-8", "replace").translate(_BRACKETS, _OTHERS)
    for levels in range(_ROUNDS):
        if levels + len(brackets) <= limit:
            return False
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    depth = 0
    for token in _TOKEN.finditer(text):
        bracket = token[0]
        if bracket in "[{":
            depth += 1
            if depth > limit:
                return True
        elif bracket in "]}" and depth:
            depth -= 1
    return False
