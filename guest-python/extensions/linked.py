"""Separates wheels from their native code, which is linked into the guest.

componentize-py links the shared libraries it finds, each under the path it found it at, and a
component can never load another one. So all libraries go into one directory of their own, any
number of versions side by side, and what is installed in a library's place is a small
file that says under which name the library was linked. `par_guest.native` reads it.
"""

import zipfile
from pathlib import Path

from extensions.table import Extension
from extensions.wheel import information_directory, library_path, pack
from extensions.wheels import Built

MOUNT = "/3"
"""Where componentize-py finds the libraries; it calls directories by their position."""

ADDED = "/4"
"""Where it finds those that are added to the optimised guest."""

MARK = "linked into the guest as "
"""What the file in a library's place begins with."""


def place(built: Built, optimized: Path, added: Path) -> None:
    """Puts the library of a wheel where componentize-py will find it."""
    target = (added if built.extension.unoptimized else optimized) / _place(built.extension)
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(built.wheel) as wheel:
        target.write_bytes(wheel.read(library_path(built.extension)))


def without_library(built: Built) -> bytes:
    """The wheel with the name of its library in the library's place."""
    extension = built.extension
    with zipfile.ZipFile(built.wheel) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    del files[f"{information_directory(extension)}/RECORD"]
    mount = ADDED if extension.unoptimized else MOUNT
    files[library_path(extension)] = f"{MARK}{mount}/{_place(extension)}\n".encode()
    return pack(files, information_directory(extension))


def _place(extension: Extension) -> str:
    return f"{extension.distribution}-{extension.version}/{library_path(extension)}"
