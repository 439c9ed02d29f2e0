"""Lets the versions an agent brings win over those the guest carries.

A deps layer holds what the agent resolved to, where the guest does not carry that very version.
Files are found in the layer first. What is left is what was imported when the guest was built: the
modules of a distribution that the layer replaces, and of those that use it, are forgotten, and
the agent's first import finds the layer's.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata

_DIST_INFO = ".dist-info"


class _Carried:
    """What is known of the distributions of the guest, from when it was built."""

    def __init__(self) -> None:
        #: Normalised name to the names of its modules, without what is inside of packages.
        self.modules: dict[str, set[str]] = {}
        #: Normalised name to all that use it, itself included.
        self.users: dict[str, set[str]] = {}


_carried = _Carried()


def remember(path: list[str] | None = None) -> None:
    """Notes which distributions there are; called when the guest is built.

    `path` is for tests; without it all that can be imported is looked at.
    """
    found = metadata.distributions() if path is None else metadata.distributions(path=path)
    uses: dict[str, set[str]] = {}
    for distribution in found:
        name = _normalised(distribution.name)
        files = distribution.files or []
        tops = {file.parts[0] for file in files if not file.parts[0].endswith(_DIST_INFO)}
        _carried.modules[name] = {top.partition(".")[0] for top in tops} - {"", "__pycache__"}
        uses[name] = {_required(line) for line in distribution.requires or []}
    for name in uses:
        _carried.users[name] = _users(name, uses)


def make_way(site_packages: str) -> set[str]:
    """Forgets what the layer at `site_packages` replaces; returns the distributions forgotten."""
    # An agent without dependencies has no layer, and listing what is not there would be recorded.
    if not os.path.isdir(site_packages):
        return set()
    entries = os.listdir(site_packages)
    brought = {
        _normalised(entry.removesuffix(_DIST_INFO).partition("-")[0])
        for entry in entries
        if entry.endswith(_DIST_INFO)
    }
    gone: set[str] = set()
    for name in brought & _carried.users.keys():
        gone |= _carried.users[name]
    modules = {module for name in gone for module in _carried.modules[name]}
    for name in list(sys.modules):
        if name.partition(".")[0] in modules:
            del sys.modules[name]
    return gone


def _users(name: str, uses: dict[str, set[str]]) -> set[str]:
    """All that use `name`, through others too."""
    users, ahead = {name}, [name]
    while ahead:
        used = ahead.pop()
        more = {user for user, required in uses.items() if used in required} - users
        users |= more
        ahead += more
    return users


def _required(line: str) -> str:
    """The distribution a requirement is on, whatever its version, extras and marker say."""
    return _normalised(re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0])


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
