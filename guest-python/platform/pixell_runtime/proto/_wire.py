"""The part of the protocol buffers wire format that the messages of `pixell.agent` use."""

VARINT = 0
FIXED64 = 1
LENGTH = 2
FIXED32 = 5

_UINT64 = 0xFFFF_FFFF_FFFF_FFFF
_INT64_SIGN = 1 << 63


class DecodeError(Exception):
    """The bytes are no message."""


def varint(number):
    """An integer; negative ones as 64-bit two's complement."""
    number &= _UINT64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(number, wire_type):
    """The key in front of a field."""
    return varint(number << 3 | wire_type)


def delimited(number, data):
    """A field whose bytes follow their length."""
    return tag(number, LENGTH) + varint(len(data)) + data


def signed(number):
    """The 64-bit signed integer of an unsigned one."""
    return number - (1 << 64) if number & _INT64_SIGN else number


def fields(data):
    """Yields number, wire type and value of each field: an integer or bytes."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise DecodeError("a field has the number 0")
        if wire_type == VARINT:
            value, position = _read_varint(data, position)
        else:
            size, position = _size_of(wire_type, data, position)
            value = data[position : position + size]
            if len(value) != size:
                raise DecodeError("the message ends within a field")
            position += size
        yield number, wire_type, value


def _size_of(wire_type, data, position):
    if wire_type == LENGTH:
        return _read_varint(data, position)
    if wire_type == FIXED64:
        return 8, position
    if wire_type == FIXED32:
        return 4, position
    raise DecodeError(f"wire type {wire_type} is not known")


def _read_varint(data, position):
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise DecodeError("the message ends within a number")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number & _UINT64, position
    raise DecodeError("a number is longer than 64 bits")
