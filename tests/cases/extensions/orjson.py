import dataclasses, datetime, decimal, enum, uuid
import orjson

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Place:
    name: str
    heights: list

UTC = datetime.timezone.utc
PLUS = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
def shorter(value):
    if isinstance(value, (set, decimal.Decimal)):
        return str(sorted(value) if isinstance(value, set) else value)
    raise TypeError
# ---
orjson.__version__
orjson.dumps(None), orjson.dumps(True), orjson.dumps(0), orjson.dumps(-1), orjson.dumps(2**53), orjson.dumps(2**63), orjson.dumps(2**64 - 1)
orjson.dumps(2**64)
orjson.dumps(-(2**63)), orjson.dumps(-(2**31)), orjson.dumps(2**31), orjson.dumps(2**32)
orjson.dumps(2**53 + 1, option=orjson.OPT_STRICT_INTEGER)
orjson.dumps([0.0, -0.0, 1.5, 1e300, 5e-324, 0.1 + 0.2, 1e16, 123456789.123456789])
orjson.dumps([float("nan"), float("inf")])
orjson.dumps("Łódź \U0001f600 \x00 \x1f \" \\ / \u2028")
orjson.dumps("\ud800")
orjson.dumps("x" * 100_000) == b'"' + b"x" * 100_000 + b'"'
orjson.dumps({"b": 1, "a": [1, {"c": None}], "": {}}, option=orjson.OPT_SORT_KEYS)
orjson.dumps({"a": [1, {"b": []}], "c": {}}, option=orjson.OPT_INDENT_2)
orjson.dumps({1: 2})
orjson.dumps({1: 2, None: 3, True: 4, 1.5: 5, Colour.RED: 6}, option=orjson.OPT_NON_STR_KEYS)
orjson.dumps(Place("Ys", [1.5, 2]))
orjson.dumps([Colour.RED, uuid.UUID(int=2**100 + 5)])
orjson.dumps([datetime.datetime(2026, 11, 21, 15, 4, 5, 678), datetime.date(1, 1, 1), datetime.time(23, 59, 59, 1)])
orjson.dumps([datetime.datetime(2026, 11, 21, tzinfo=UTC), datetime.datetime(2026, 11, 21, tzinfo=PLUS)])
orjson.dumps(datetime.datetime(2026, 11, 21, tzinfo=UTC), option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS)
orjson.dumps(datetime.datetime(2026, 11, 21), option=orjson.OPT_NAIVE_UTC)
orjson.dumps(decimal.Decimal("1.10"))
orjson.dumps([decimal.Decimal("1.10"), {3, 1, 2}], default=shorter)
orjson.dumps({"a": object()}, default=shorter)
orjson.dumps([orjson.Fragment(b'{"raw":1}'), orjson.Fragment("[2]")])
orjson.dumps(b"bytes")
orjson.dumps((lambda deep: [deep := [deep] for _ in range(200)][-1])([])).count(b"[")
(lambda deep: [orjson.dumps(deep) for deep in [__import__("functools").reduce(lambda inner, _: [inner], range(300), [])]])(None)
orjson.loads(b'{"a": [1, 2.5, -0, 1e5, "\\u0141\\ud83d\\ude00"], "b": null, "c": true}')
orjson.loads('  [ ]  '), orjson.loads(bytearray(b"{}")), orjson.loads(memoryview(b"1"))
orjson.loads("18446744073709551615"), orjson.loads("18446744073709551616"), orjson.loads("-9223372036854775808")
orjson.loads("1e400")
orjson.loads('{"a": 1, "a": 2}')
orjson.loads("")
orjson.loads("[1,]")
orjson.loads('{"a": nul}')
orjson.loads('"\x01"')
orjson.loads(b'"\xff"')
orjson.loads("[" * 1025 + "]" * 1025)
orjson.loads(orjson.dumps({"key%d" % n: [n, n / 3, str(n)] for n in range(3000)}))["key2999"]
orjson.loads(3)
isinstance(orjson.JSONDecodeError("x", "y", 0), ValueError), issubclass(orjson.JSONEncodeError, TypeError)
