"""Stands in for `grp`: the sandbox has no groups of users."""

from collections import namedtuple as _namedtuple

struct_group = _namedtuple("struct_group", "gr_name gr_passwd gr_gid gr_mem")


def getgrgid(id, /):
    """Finds none."""
    raise KeyError(f"getgrgid(): the sandbox has no groups, so not {id} either")


def getgrnam(name, /):
    """Finds none."""
    raise KeyError(f"getgrnam(): the sandbox has no groups, so not `{name}` either")


def getgrall():
    """None."""
    return []
