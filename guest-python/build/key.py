"""Content addresses: the name of a thing built is a digest of everything it was built from."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

KEY_LENGTH = 20
"""Hexadecimal digits of a key: 80 bits, far beyond any accidental collision."""

IGNORED_NAMES = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def source_files(path: Path) -> Iterable[Path]:
    """Every file below `path` (or `path` itself) that a person wrote, in a stable order."""
    if path.is_file():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.name not in IGNORED_NAMES:
            yield from source_files(entry)


class Inputs:
    """Collects what goes into a build; `key()` is its content address."""

    def __init__(self, kind: str) -> None:
        self._digest = hashlib.sha256()
        self.value("kind", kind)

    def value(self, name: str, value: object) -> "Inputs":
        """Adds a named value that JSON can hold."""
        self._digest.update(json.dumps([name, value], sort_keys=True).encode() + b"\n")
        return self

    def files(self, *paths: Path, without: Path | None = None) -> "Inputs":
        """Adds names and contents of the files at or below `paths` and not below `without`."""
        for path in paths:
            base = path.parent
            for file in source_files(path):
                if without is not None and file.is_relative_to(without):
                    continue
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                self.value(str(file.relative_to(base)), content)
        return self

    def key(self) -> str:
        """The content address."""
        return self._digest.hexdigest()[:KEY_LENGTH]


def file_digest(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
