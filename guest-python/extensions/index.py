"""A package index of what only the guest has, in the form every resolver reads.

A distribution that is nothing without its native code has for the sandbox the releases that were
built, and no others. The index offers exactly those, so a resolver finds one or says why
not. What it offers are wheels of metadata alone; what is installed is in `wheels/`.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

from extensions.wheel import information_directory, pack
from extensions.wheels import Built

WHEEL = """\
Wheel-Version: 1.0
Generator: par-extensions
Root-Is-Purelib: true
Tag: py3-none-any
"""
"""The resolver resolves for Linux, so it has to take it that the wheel fits there."""


def write_index(all_built: Iterable[Built], directory: Path) -> None:
    """Writes a simple repository (PEP 503) of the extensions that have no fallback."""
    directory.mkdir()
    for built in all_built:
        if not built.extension.fallback:
            _offer(built, directory)


def _offer(built: Built, directory: Path) -> None:
    extension = built.extension
    information = information_directory(extension)
    with zipfile.ZipFile(built.wheel) as wheel:
        metadata = wheel.read(f"{information}/METADATA")
    files = {f"{information}/METADATA": metadata, f"{information}/WHEEL": WHEEL.encode()}
    content = pack(files, information)
    project = directory / extension.distribution.replace("_", "-")
    project.mkdir(exist_ok=True)
    file = project / f"{extension.distribution}-{extension.version}-py3-none-any.whl"
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with (project / "index.html").open("a") as page:
        page.write(f'<a href="{file.name}#sha256={digest}">{file.name}</a>\n')
