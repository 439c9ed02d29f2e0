"""Writes a wheel: Python files, the extension, and correct metadata. Byte-reproducible."""

import base64
import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

from extensions.table import Extension

TAG = "cp314-cp314-wasi_wasm32"
"""For the CPython of the guest alone. No tag for WASI is agreed on yet; a published wheel
will not carry this one by accident."""

WHEEL = f"""\
Wheel-Version: 1.0
Generator: par-extensions
Root-Is-Purelib: false
Tag: {TAG}
"""

SUFFIX = ".cpython-314-wasm32-wasi.so"
"""How the guest's CPython names extension modules."""

PACKAGE_OF_ONE = """\
from .{name} import *

__doc__ = {name}.__doc__
if hasattr({name}, "__all__"):
    __all__ = {name}.__all__
"""
"""What maturin puts around an extension that has no Python files of its own."""

NOT_INSTALLED = {".c", ".h", ".pyx"}
"""Files of a package that only its build needs."""

EPOCH = (1980, 1, 1, 0, 0, 0)


def wheel_name(extension: Extension) -> str:
    """The file name of the wheel."""
    return f"{extension.distribution}-{extension.version}-{TAG}.whl"


def library_path(extension: Extension) -> str:
    """Where in the wheel, and in `site-packages`, the extension is."""
    return extension.module.replace(".", "/") + SUFFIX


def information_directory(extension: Extension) -> str:
    """The directory of the wheel with its metadata."""
    return f"{extension.distribution}-{extension.version}.dist-info"


def write_wheel(
    extension: Extension, source: Path, library: bytes, made_with: dict[str, object], output: Path
) -> Path:
    """Writes the wheel of `extension` into the directory `output`."""
    information = information_directory(extension)
    files: dict[str, bytes] = {}
    for name in filter(None, [extension.package, *extension.more_packages]):
        package = source / name
        if package.is_file():
            files[package.name] = package.read_bytes()
        for file in sorted(package.rglob("*")):
            if "__pycache__" in file.parts or file.suffix in NOT_INSTALLED:
                continue
            if file.is_file():
                files[str(file.relative_to(package.parent))] = file.read_bytes()
    if not extension.package and "." in extension.module:
        parent, _, name = extension.module.rpartition(".")
        init = f"{parent.replace('.', '/')}/__init__.py"
        files[init] = PACKAGE_OF_ONE.format(name=name).encode()
    files[library_path(extension)] = library
    files[f"{information}/METADATA"] = (source / "PKG-INFO").read_bytes()
    files[f"{information}/WHEEL"] = WHEEL.encode()
    for licence in sorted(source.glob("LICEN[CS]E*")):
        files[f"{information}/licenses/{licence.name}"] = licence.read_bytes()
    files[f"{information}/par-build.json"] = json.dumps(made_with, indent=2).encode() + b"\n"
    path = output / wheel_name(extension)
    path.write_bytes(pack(files, information))
    return path


def pack(files: dict[str, bytes], information: str) -> bytes:
    """A wheel of `files`; its `RECORD` is written into the directory `information`."""
    record = f"{information}/RECORD"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, record: _record(files, record)}.items():
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o100644 << 16
            archive.writestr(member, content)
    return packed.getvalue()


def _record(files: dict[str, bytes], own_name: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(content)])
    rows.writerow([own_name, "", ""])
    return text.getvalue().encode()
