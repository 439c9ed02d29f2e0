"""The little of the WebAssembly binary format the build needs: sections and exports."""

from collections.abc import Iterator
from dataclasses import dataclass

HEADER_LENGTH = 8
CUSTOM, IMPORT, EXPORT = 0, 2, 7


@dataclass(frozen=True)
class Section:
    """One section: its number and its content without the length."""

    number: int
    content: bytes


def sections(module: bytes) -> Iterator[Section]:
    """The sections of a module, in order."""
    position = HEADER_LENGTH
    while position < len(module):
        length, start = read_unsigned(module, position + 1)
        yield Section(module[position], module[start : start + length])
        position = start + length


def assemble(header: bytes, parts: Iterator[Section]) -> bytes:
    """Puts a module together again."""
    body = b"".join(
        bytes([part.number]) + unsigned(len(part.content)) + part.content for part in parts
    )
    return header + body


def exports(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and encoding of each entry in the content of an export section."""
    count, position = read_unsigned(content, 0)
    for _ in range(count):
        start = position
        name, position = read_name(content, position)
        _, position = read_unsigned(content, position + 1)
        yield name, content[start:position]


def export_names(parts: Iterator[Section]) -> Iterator[str]:
    """The names a module exports."""
    for part in parts:
        if part.number == EXPORT:
            yield from (name for name, _ in exports(part.content))


def import_names(parts: Iterator[Section]) -> Iterator[str]:
    """The names a module imports, whatever they are imported from."""
    for part in parts:
        if part.number == IMPORT:
            yield from _imports(part.content)


def _imports(content: bytes) -> Iterator[str]:
    count, position = read_unsigned(content, 0)
    for _ in range(count):
        _, position = read_name(content, position)
        name, position = read_name(content, position)
        kind = content[position]
        position += 1
        if kind == 0:  # a function: the index of its type
            _, position = read_unsigned(content, position)
        elif kind == 1:  # a table: the type of its elements, then limits
            position = _skip_limits(content, position + 1)
        elif kind == 2:  # a memory
            position = _skip_limits(content, position)
        elif kind == 3:  # a global: type and mutability
            position += 2
        elif kind == 4:  # a tag: attribute, then the index of its type
            _, position = read_unsigned(content, position + 1)
        else:
            raise ValueError(f"unknown kind of import: {kind}")
        yield name


def _skip_limits(content: bytes, position: int) -> int:
    flags, position = read_unsigned(content, position)
    _, position = read_unsigned(content, position)
    if flags & 1:  # a maximum follows the minimum
        _, position = read_unsigned(content, position)
    return position


def read_name(data: bytes, position: int) -> tuple[str, int]:
    """A length-prefixed UTF-8 name, and the position after it."""
    length, position = read_unsigned(data, position)
    return data[position : position + length].decode(), position + length


def read_unsigned(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def unsigned(value: int) -> bytes:
    """The LEB128 encoding of an unsigned number."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
