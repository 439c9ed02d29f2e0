"""Stands in for `pwd`: the sandbox has no users."""

from collections import namedtuple as _namedtuple

struct_passwd = _namedtuple(
    "struct_passwd", "pw_name pw_passwd pw_uid pw_gid pw_gecos pw_dir pw_shell"
)


def getpwuid(uid, /):
    """Finds nobody."""
    raise KeyError(f"getpwuid(): the sandbox has no users, so not {uid} either")


def getpwnam(name, /):
    """Finds nobody."""
    raise KeyError(f"getpwnam(): the sandbox has no users, so not `{name}` either")


def getpwall():
    """Nobody."""
    return []
