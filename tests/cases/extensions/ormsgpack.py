import dataclasses, datetime, enum, uuid
import ormsgpack
import pydantic

@dataclasses.dataclass
class Point:
    x: int
    y: float

class Colour(enum.Enum):
    RED = "red"

class Model(pydantic.BaseModel):
    name: str
    tags: list[str] = []

moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone.utc)
nested = []
for _ in range(2000):
    nested = [nested]
# ---
ormsgpack.packb({"a": [1, 2.5, None, True, "ü🐍", b"raw"]})
ormsgpack.unpackb(ormsgpack.packb({"a": [1, 2.5, None, True, "ü🐍", b"raw"]}))
[ormsgpack.packb(number) for number in (0, 127, 128, 255, 256, 65535, 65536, 2**32, 2**63, 2**64 - 1)]
[ormsgpack.packb(number) for number in (-1, -32, -33, -128, -129, -32769, -2**31 - 1, -2**63)]
ormsgpack.packb(2**64)
ormsgpack.packb(1.5), ormsgpack.packb(float("inf")), ormsgpack.packb("x" * 40)[:3]
ormsgpack.packb(list(range(20)))[:4], ormsgpack.packb({str(n): n for n in range(20)})[:4]
ormsgpack.packb(Point(1, 2.0)), ormsgpack.packb(Colour.RED), ormsgpack.packb((1, 2))
ormsgpack.packb(Model(name="n", tags=["t"]), option=ormsgpack.OPT_SERIALIZE_PYDANTIC)
ormsgpack.packb(moment), ormsgpack.packb(moment.date()), ormsgpack.packb(moment.time())
ormsgpack.packb(moment, option=ormsgpack.OPT_OMIT_MICROSECONDS | ormsgpack.OPT_UTC_Z)
ormsgpack.packb(uuid.UUID(int=1))
ormsgpack.packb({1: "one"})
ormsgpack.packb({1: "one"}, option=ormsgpack.OPT_NON_STR_KEYS)
ormsgpack.unpackb(ormsgpack.packb({1: "one"}, option=ormsgpack.OPT_NON_STR_KEYS), option=ormsgpack.OPT_NON_STR_KEYS)
ormsgpack.packb({"b": 1, "a": 2}, option=ormsgpack.OPT_SORT_KEYS)
ormsgpack.packb(object())
ormsgpack.packb(object(), default=lambda value: "known")
ormsgpack.packb({1, 2}, default=sorted)
ormsgpack.packb(ormsgpack.Ext(5, b"data"))
ormsgpack.unpackb(ormsgpack.packb(ormsgpack.Ext(5, b"data")), ext_hook=lambda tag, data: (tag, data))
ormsgpack.packb(nested)
ormsgpack.unpackb(b"\xdd\xff\xff\xff\xff")
ormsgpack.unpackb(b"\x92\x01")
ormsgpack.unpackb(b"\xa2\xff\xff")
ormsgpack.unpackb(b"\x01\x02")
ormsgpack.unpackb(b"")
ormsgpack.unpackb("text")
len(ormsgpack.packb(["word"] * 100_000)), len(ormsgpack.unpackb(ormsgpack.packb(["word"] * 100_000)))
