"""Lets libraries be imported that import `cryptography` for a part that is seldom reached.

`cryptography` is native code that the sandbox does not have. Most libraries import it where they
need it, or do without. `mcp` imports it with everything else, its client included, for what a
server seals that keeps its state with its clients. While such a module is imported, the
names it takes are there; encrypting with them is refused with a sentence. For everybody else
`cryptography` is not installed, so that libraries that look for it take their other way.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from types import ModuleType
from typing import Any, NoReturn

#: The modules that get the stand-ins below.
IMPORTERS = {"mcp.server.request_state"}

_REFUSED = (
    "`cryptography` is native code that is not part of the sandbox, so nothing is encrypted with "
    "it; give the library a codec of your own, or do without this part of it"
)


class InvalidTag(Exception):
    """`cryptography.exceptions.InvalidTag`; nobody raises it here."""


class AESGCM:
    """A key of `cryptography`'s cipher of that name; using it is refused."""

    def __init__(self, key: bytes) -> None:
        del key

    def encrypt(self, *_: object) -> NoReturn:
        """Refused."""
        raise NotImplementedError(_REFUSED)

    decrypt = encrypt


class SHA256:
    """Names the algorithm, as `cryptography` does."""


class HKDF:
    """Derives keys (RFC 5869) with SHA-256, which Python has."""

    def __init__(
        self, algorithm: SHA256, length: int, salt: bytes | None, info: bytes | None
    ) -> None:
        del algorithm
        self._length, self._salt, self._info = length, salt or bytes(32), info or b""

    def derive(self, key_material: bytes) -> bytes:
        """The key that is derived from `key_material`."""
        secret = hmac.digest(self._salt, key_material, hashlib.sha256)
        derived, block, number = b"", b"", 0
        while len(derived) < self._length:
            number += 1
            block = hmac.digest(secret, block + self._info + bytes([number]), hashlib.sha256)
            derived += block
        return derived[: self._length]


_NAMES: dict[str, dict[str, Any]] = {
    "cryptography": {},
    "cryptography.exceptions": {"InvalidTag": InvalidTag},
    "cryptography.hazmat": {},
    "cryptography.hazmat.primitives": {},
    "cryptography.hazmat.primitives.ciphers": {},
    "cryptography.hazmat.primitives.ciphers.aead": {"AESGCM": AESGCM},
    "cryptography.hazmat.primitives.hashes": {"SHA256": SHA256},
    "cryptography.hazmat.primitives.kdf": {},
    "cryptography.hazmat.primitives.kdf.hkdf": {"HKDF": HKDF},
}


def apply() -> None:
    """Looks after the modules that are imported from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the modules of `IMPORTERS` where they are, and loads them in its own way."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in IMPORTERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module as another loader does, with the stand-ins in place meanwhile."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if "cryptography" in sys.modules:
            self._loader.exec_module(module)
            return
        for name, content in _NAMES.items():
            stand_in = ModuleType(name)
            vars(stand_in).update(content)
            sys.modules[name] = stand_in
        try:
            self._loader.exec_module(module)
        finally:
            for name in _NAMES:
                sys.modules.pop(name, None)
