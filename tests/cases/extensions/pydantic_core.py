import datetime, decimal, enum, uuid
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema as cs, from_json, to_json, to_jsonable_python
import pydantic_core

model = SchemaValidator(cs.typed_dict_schema({
    "name": cs.typed_dict_field(cs.str_schema(min_length=1, strip_whitespace=True)),
    "age": cs.typed_dict_field(cs.int_schema(ge=0)),
    "tags": cs.typed_dict_field(cs.list_schema(cs.str_schema(), max_length=2), required=False),
}))
integer = SchemaValidator(cs.int_schema())
number = SchemaValidator(cs.float_schema())
moment = SchemaValidator(cs.datetime_schema())
either = SchemaValidator(cs.union_schema([cs.int_schema(), cs.str_schema()]))
address = SchemaValidator(cs.url_schema())
def errors(call):
    try:
        return call()
    except pydantic_core.ValidationError as error:
        return [(one["type"], one["loc"], one["msg"]) for one in error.errors(include_url=False)]
# ---
errors(lambda: model.validate_python({"name": " Ada ", "age": "36", "tags": ["a"]}))
errors(lambda: model.validate_python({"name": "", "age": -1, "tags": ["a", 1, "c"]}))
errors(lambda: model.validate_python({}))
errors(lambda: model.validate_json('{"name": "Ada", "age": 36}'))
errors(lambda: model.validate_json('{"name": "Ada", "age": 36'))
errors(lambda: model.validate_json("[]"))
[errors(lambda: integer.validate_python(value)) for value in (1, "1", 1.0, 1.5, "x", None, True, 2**70, "9" * 30, decimal.Decimal("3"))]
[errors(lambda: integer.validate_json(value)) for value in ("1", "1.0", "123456789012345678901234567890", "1e3", "-0", "9223372036854775808")]
[errors(lambda: number.validate_python(value)) for value in (1, "1.5", "nan", "inf", "x", 10**400)]
[errors(lambda: moment.validate_python(value)) for value in ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00.123456+05:30", 1763719200, "1763719200.5", "2026-02-30", 1e20, datetime.date(2026, 1, 1))]
[errors(lambda: either.validate_python(value)) for value in (1, "1", 1.5)]
[str(errors(lambda: address.validate_python(value))) for value in ("https://exämple.org:443/a b?q=é#f", "http://[::1]:80/", "nope", "https://user:pw@host/")]
errors(lambda: SchemaValidator(cs.uuid_schema()).validate_python("not a uuid"))
errors(lambda: SchemaValidator(cs.decimal_schema(max_digits=3)).validate_python("12.345"))
errors(lambda: SchemaValidator(cs.timedelta_schema()).validate_python("P1DT2H"))
errors(lambda: SchemaValidator(cs.str_schema(pattern=r"^\d{2}$")).validate_python("123"))
errors(lambda: SchemaValidator(cs.dict_schema(cs.int_schema(), cs.int_schema())).validate_python({"1": "2", "a": "b"}))
errors(lambda: SchemaValidator(cs.literal_schema(["a", 1])).validate_python("b"))
errors(lambda: SchemaValidator(cs.nullable_schema(cs.bool_schema())).validate_python("yes")), errors(lambda: SchemaValidator(cs.bytes_schema()).validate_python("é"))
errors(lambda: SchemaValidator(cs.set_schema(cs.int_schema())).validate_python([1, "1", 2]))
str(SchemaValidator(cs.no_info_plain_validator_function(lambda value: value * 2)).validate_python("ab"))
to_json({"a": [1, 2.5, None, float("nan")], "b": datetime.datetime(2026, 11, 21), "c": uuid.UUID(int=5), "d": {1: b"x"}})
to_json(object())
to_json({"é": "Łódź"}, indent=1), to_json(1e300), to_json(0.1 + 0.2), to_json(5e-324)
to_jsonable_python({"a": {decimal.Decimal("1.10")}, "b": (1,), "c": datetime.timedelta(days=1)})
from_json('{"a": [1, 2.5], "b": "\\u0141"}'), from_json(b"NaN"), from_json('["a', allow_partial=True)
from_json("[1,")
SchemaSerializer(cs.list_schema(cs.int_schema())).to_json([1, 2]), SchemaSerializer(cs.any_schema()).to_python({1: {2}}, mode="json")
SchemaSerializer(cs.datetime_schema()).to_json(datetime.datetime(2026, 11, 21, 1, 2, 3, 4, tzinfo=datetime.timezone.utc))
str(pydantic_core.Url("https://exämple.org/")), pydantic_core.MultiHostUrl("redis://a:1,b:2/0").hosts()
SchemaValidator({"type": "nope"})
