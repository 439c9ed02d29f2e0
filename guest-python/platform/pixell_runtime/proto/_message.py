"""Messages with the interface of generated protobuf classes, written by hand."""

from pixell_runtime.proto import _wire


class Kind:
    """How one type of field is checked, coded and shown."""

    def __init__(self, python_type, wire_type, default):
        self.python_type = python_type
        self.wire_type = wire_type
        self.default = default

    def checked(self, name, value):
        accepted = (bool, int) if self.python_type in (bool, int) else self.python_type
        if not isinstance(value, accepted):
            raise TypeError(
                f"bad argument type for field `{name}`: expected "
                f"{self.python_type.__name__}, got {type(value).__name__}"
            )
        return self.python_type(value)

    def encode(self, number, value):
        if self.wire_type == _wire.VARINT:
            return _wire.tag(number, _wire.VARINT) + _wire.varint(int(value))
        return _wire.delimited(number, value.encode())

    def decode(self, value):
        if self.wire_type == _wire.LENGTH:
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise _wire.DecodeError("a string is not UTF-8") from error
        return bool(value) if self.python_type is bool else _wire.signed(value)


TEXT = Kind(str, _wire.LENGTH, "")
FLAG = Kind(bool, _wire.VARINT, False)
INT64 = Kind(int, _wire.VARINT, 0)


class Field:
    """One field of a message: `shape` is `one`, `list`, `map` or a message class."""

    def __init__(self, number, kind, shape="one"):
        self.number = number
        self.kind = kind
        self.shape = shape

    def empty(self):
        if self.shape == "list":
            return []
        if self.shape == "map":
            return {}
        return None if isinstance(self.shape, type) else self.kind.default

    def checked(self, name, value):
        if self.shape == "list":
            return [self.kind.checked(name, item) for item in value]
        if self.shape == "map":
            return {
                self.kind.checked(name, key): self.kind.checked(name, item)
                for key, item in dict(value).items()
            }
        if isinstance(self.shape, type):
            if not isinstance(value, self.shape):
                raise TypeError(f"bad argument type for field `{name}`")
            return value
        return self.kind.checked(name, value)

    def encode(self, value):
        if self.shape == "list":
            return b"".join(self.kind.encode(self.number, item) for item in value)
        if self.shape == "map":
            return b"".join(
                _wire.delimited(self.number, self.kind.encode(1, key) + self.kind.encode(2, item))
                for key, item in value.items()
            )
        if isinstance(self.shape, type):
            return _wire.delimited(self.number, value.SerializeToString())
        return self.kind.encode(self.number, value)

    def merge(self, message, name, value):
        """Takes one occurrence of the field from the wire."""
        if self.shape == "list":
            getattr(message, name).append(self.kind.decode(value))
        elif self.shape == "map":
            entry = {number: item for number, _, item in _wire.fields(value)}
            key = self.kind.decode(entry.get(1, b""))
            getattr(message, name)[key] = self.kind.decode(entry.get(2, b""))
        elif isinstance(self.shape, type):
            # Stored past `__setattr__`, which refuses messages as protobuf does.
            message.__dict__[name] = self.shape.FromString(value)
        else:
            message.__dict__[name] = self.kind.decode(value)

    @property
    def wire_type(self):
        return _wire.LENGTH if self.shape != "one" else self.kind.wire_type


class Message:
    """A message; its class lists the fields in `FIELDS`, in the order of their numbers."""

    FIELDS = {}

    def __init__(self, **values):
        self.Clear()
        for name, value in values.items():
            if name not in self.FIELDS:
                raise ValueError(f'Protocol message {type(self).__name__} has no "{name}" field.')
            if value is not None:
                self.__dict__[name] = self.FIELDS[name].checked(name, value)

    def __getattr__(self, name):
        # A message field that was not set reads as an empty message.
        field = self.FIELDS.get(name)
        if field is None or not isinstance(field.shape, type):
            raise AttributeError(f"{type(self).__name__} has no field `{name}`")
        made = self.__dict__[name] = field.shape()
        return made

    def __setattr__(self, name, value):
        field = self.FIELDS.get(name)
        if field is None or field.shape != "one":
            raise AttributeError(
                f'Assignment not allowed to field "{name}" in {type(self).__name__}.'
            )
        self.__dict__[name] = field.checked(name, value)

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self.ListFields() == other.ListFields()

    __hash__ = None

    def __repr__(self):
        return "".join(f"{name}: {value!r}\n" for name, value in self.ListFields())

    def ListFields(self):
        """Name and value of each field that is set."""
        return [(name, self.__dict__[name]) for name in self.FIELDS if self.HasField(name)]

    def HasField(self, name):
        field = self.FIELDS[name]
        if name not in self.__dict__:
            return False
        return isinstance(field.shape, type) or self.__dict__[name] != field.empty()

    def Clear(self):
        for name in self.FIELDS:
            self.ClearField(name)

    def ClearField(self, name):
        empty = self.FIELDS[name].empty()
        if empty is None:
            self.__dict__.pop(name, None)
        else:
            self.__dict__[name] = empty

    def CopyFrom(self, other):
        self.ParseFromString(other.SerializeToString())

    def SerializeToString(self, deterministic=None):
        return b"".join(self.FIELDS[name].encode(value) for name, value in self.ListFields())

    def ParseFromString(self, data):
        self.Clear()
        return self.MergeFromString(data)

    def MergeFromString(self, data):
        by_number = {field.number: (name, field) for name, field in self.FIELDS.items()}
        for number, wire_type, value in _wire.fields(bytes(data)):
            name, field = by_number.get(number, (None, None))
            # A field of another type is an unknown one, as in protobuf.
            if field is not None and field.wire_type == wire_type:
                field.merge(self, name, value)
        return len(data)

    def ByteSize(self):
        return len(self.SerializeToString())

    def IsInitialized(self):
        return True

    @classmethod
    def FromString(cls, data):
        message = cls()
        message.ParseFromString(data)
        return message
