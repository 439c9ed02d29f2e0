"""Stands in for CPython's `_ctypes`, so that `ctypes` can be imported.

Libraries define C types while they are imported, and call C in a corner nobody reaches. Types
can be made, and hold values; loading a library, calling a function and looking at memory is
refused: there is no native code to call in the sandbox.
"""

import struct as _struct

__version__ = "1.1.0"
RTLD_LOCAL, RTLD_GLOBAL = 0, 1
SIZEOF_TIME_T = 8
FUNCFLAG_CDECL, FUNCFLAG_PYTHONAPI, FUNCFLAG_USE_ERRNO, FUNCFLAG_USE_LASTERROR = 1, 4, 8, 16
_memmove_addr = _memset_addr = _string_at_addr = _cast_addr = 0
_memoryview_at_addr = _wstring_at_addr = 0

_REFUSED = "the sandbox has no native code to call, so {what}; use a library in Python"

#: Unit: bytes. What `struct` does not know by the same letter.
_SIZES = {"O": "P", "z": "P", "Z": "P", "u": "I"}
_LONG_DOUBLE = 16


class ArgumentError(Exception):
    """A value cannot be passed to a C function."""


class CField:
    """Describes a field; nothing here makes one."""


def _refuse(what):
    raise OSError(_REFUSED.format(what=what))


def dlopen(name, mode=0):
    """Loads nothing. The interpreter itself, which has no name, is there already."""
    if name is not None:
        _refuse(f"`{name}` was not loaded")
    return 0


def _is_known(code):
    """Whether there is a C type of that letter here."""
    try:
        _struct.calcsize(_SIZES.get(code, code))
    except _struct.error:
        return code == "g"
    return True


class _Type(type):
    """The type of C types: they are multiplied to make arrays."""

    def __new__(cls, name, bases, namespace, **options):
        code = namespace.get("_type_")
        if isinstance(code, str) and bases[0].__name__ == "_SimpleCData" and not _is_known(code):
            raise AttributeError(f"there is no C type `{code}`")
        return super().__new__(cls, name, bases, namespace, **options)

    def __mul__(cls, length):
        return _Type(
            f"{cls.__name__}_Array_{length}", (Array,), {"_type_": cls, "_length_": length}
        )

    __rmul__ = __mul__


class _CData(metaclass=_Type):
    """What all C types have."""

    @classmethod
    def from_param(cls, value):
        return value

    @classmethod
    def from_address(cls, address):
        _refuse("no memory was looked at")

    from_buffer = from_buffer_copy = from_address

    @classmethod
    def in_dll(cls, library, name):
        _refuse(f"`{name}` was not found")


class _SimpleCData(_CData):
    """A number, a character, a pointer."""

    def __init__(self, value=None):
        self.value = (0 if self._type_ not in "zZOP" else None) if value is None else value

    def __repr__(self):
        return f"{type(self).__name__}({self.value!r})"

    def __bool__(self):
        return bool(self.value)


class _Aggregate(_CData):
    _fields_ = ()

    def __init__(self, *values, **named):
        fields = [
            field
            for base in reversed(type(self).__mro__)
            for field in vars(base).get("_fields_", ())
        ]
        for name, kind, *_ in fields:
            simple = isinstance(kind, type) and issubclass(kind, _SimpleCData)
            setattr(self, name, kind().value if simple else kind())
        for field, value in zip(fields, values, strict=False):
            setattr(self, field[0], value)
        for name, value in named.items():
            setattr(self, name, value)


class Structure(_Aggregate):
    """A C structure."""


class Union(_Aggregate):
    """A C union; its fields do not share memory here."""


class Array(_CData):
    """A C array."""

    _length_ = 0

    def __init__(self, *values):
        simple = issubclass(self._type_, _SimpleCData)
        empty = [
            self._type_().value if simple else self._type_()
            for _ in range(self._length_ - len(values))
        ]
        self._items = [*values, *empty]

    def __len__(self):
        return self._length_

    def __getitem__(self, index):
        return self._items[index]

    def __setitem__(self, index, value):
        self._items[index] = value


class _Pointer(_CData):
    """A C pointer to an object."""

    def __init__(self, target=None):
        self.contents = target

    def __bool__(self):
        return self.contents is not None


class CFuncPtr(_CData):
    """A C function: there is one to hold, and none to call."""

    _flags_ = FUNCFLAG_CDECL

    def __init__(self, what=None, *_):
        self.__name__ = "function"
        if isinstance(what, tuple):
            self.__name__, library = str(what[0]), what[1]
            if not type(library).__name__ == "PyDLL":
                raise AttributeError(_REFUSED.format(what=f"`{self.__name__}` was not found"))

    def __call__(self, *_arguments, **_options):
        _refuse(f"`{self.__name__}` was not called")


def alignment(kind):
    """How a type is aligned. Unit: bytes."""
    kind = kind if isinstance(kind, type) else type(kind)
    if issubclass(kind, _Aggregate):
        return max((alignment(field[1]) for field in kind._fields_), default=1)
    return alignment(kind._type_) if issubclass(kind, Array) else sizeof(kind)


def sizeof(kind):
    """How large a type or value is. Unit: bytes."""
    kind = kind if isinstance(kind, type) else type(kind)
    if issubclass(kind, Array):
        return kind._length_ * sizeof(kind._type_)
    if issubclass(kind, Union):
        return max((sizeof(field[1]) for field in kind._fields_), default=0)
    if issubclass(kind, Structure):
        end = 0
        for _, field, *_ in kind._fields_:
            end = -(-end // alignment(field)) * alignment(field) + sizeof(field)
        return -(-end // alignment(kind)) * alignment(kind)
    if issubclass(kind, _SimpleCData):
        code = kind._type_
        return _LONG_DOUBLE if code == "g" else _struct.calcsize(_SIZES.get(code, code))
    return _struct.calcsize("P")


def byref(value, offset=0):
    """Something to pass to a C function."""
    return _Pointer(value)


def addressof(value):
    """Refused: values of C types have no address here."""
    _refuse("nothing has an address")


def resize(value, size):
    """Refused: values of C types have no memory here."""
    _refuse("nothing was resized")


def buffer_info(kind):
    """Refused: values of C types have no memory here."""
    _refuse("nothing was looked at")


def get_errno():
    """No C function was called: there is no error of one."""
    return 0


def set_errno(value):
    """Dropped."""
    return 0
