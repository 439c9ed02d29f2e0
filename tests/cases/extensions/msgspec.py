import datetime, decimal, enum, sys, uuid
from typing import Annotated, Literal
import msgspec

class Point(msgspec.Struct):
    x: int
    y: float = 0.5

class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True, order=True):
    first_name: str
    ages: Annotated[list[int], msgspec.Meta(max_length=2)] = []

class Cat(msgspec.Struct, tag=True):
    name: str

class Dog(msgspec.Struct, tag=True, array_like=True):
    name: str

class Kind(enum.Enum):
    A = "a"

Positive = Annotated[int, msgspec.Meta(gt=0)]
decode, encode = msgspec.json.decode, msgspec.json.encode
pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
# ---
msgspec.__version__
encode({"a": [1, 2.5, None, True, "Łódź"], "b": {}}), encode([2**63 - 1, -(2**63), 2**64 - 1, 2**32, 2**31])
encode(2**64)
encode([0.1, 1e300, 5e-324, float("nan"), 1e16, 1.0])
encode([datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc), datetime.date(1, 1, 1), datetime.timedelta(seconds=90, microseconds=5)])
encode([uuid.UUID(int=5), decimal.Decimal("1.10"), b"bytes", Kind.A, (1,), frozenset([1])])
encode(Point(1)), encode(Strict("x")), encode(Cat("c")), encode(Dog("d"))
encode({"b": 1, "a": 2}, order="sorted")
encode(object())
decode(b'{"x": 1, "y": 2}', type=Point), decode(b'{"x": 1, "z": 2}', type=Point)
decode(b'{"x": "1"}', type=Point)
decode(b'{"x": "1"}', type=Point, strict=False)
decode(b"{}", type=Point)
decode(b'{"firstName": "a", "ages": [1, 2, 3]}', type=Strict)
decode(b'{"firstName": "a", "no": 1}', type=Strict)
decode(b'[{"type": "Cat", "name": "c"}]', type=list[Cat])
decode(b'["Dog", "d"]', type=Dog)
decode(b'{"type": "Cow"}', type=Cat)
decode(b"-1", type=Positive)
decode(b'"b"', type=Literal["a"]), 1
decode(b'"a"', type=Kind), decode(b"[1, 2]", type=set[int]), decode(b"[1, 2]", type=tuple[int, ...])
decode(b'"2026-11-21T10:00:00+05:30"', type=datetime.datetime), decode(b'"P1DT1H"', type=datetime.timedelta)
decode(b'"2026-13-21"', type=datetime.date)
decode(b'"00000000-0000-0000-0000-000000000005"', type=uuid.UUID), decode(b"1.10", type=decimal.Decimal)
decode(b"1" * 40), decode(b"1.5e3"), decode(b"1e400"), decode(b"18446744073709551616")
decode(b'"\\ud83d\\ude00 \\u0141"'), decode('"é"')
decode(b"[1,]")
decode(b'{"a": 1')
decode(b"")
decode(b'"\x01"')
pack({"a": [1, -1, 2**40, 2.5, None, "é", b"x"]}).hex(), pack(Point(1)).hex()
unpack(pack({"a": [1, -1, 2**40, 2.5, None, "é", b"x"]})), unpack(pack(Point(3)), type=Point)
unpack(b"\xc1")
unpack(pack(datetime.datetime(2026, 11, 21, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)), type=datetime.datetime)
msgspec.convert({"x": "5"}, Point, strict=False), msgspec.to_builtins(Point(1, 2.0))
Point(1) == Point(1), Strict("a") < Strict("b"), hash(Strict("a", ())) == hash(Strict("a", ())), Point(1)
Point()
setattr(Strict("a"), "first_name", "b")
msgspec.structs.replace(Point(1), y=3.0), msgspec.structs.asdict(Point(1)), msgspec.structs.astuple(Point(1))
msgspec.json.schema(Point)
decode(b"[" * 100 + b"]" * 100) is not None
decode(b"[" + b",".join(b'{"x": %d}' % n for n in range(3000)) + b"]", type=list[Point])[-1]
