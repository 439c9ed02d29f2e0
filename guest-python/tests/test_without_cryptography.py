"""What a library gets that imports `cryptography` where there is none."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from par_guest import without_cryptography

SOURCE = """
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

def derive(secret):
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    return HKDF(algorithm=SHA256(), length=42, salt=salt, info=info).derive(secret)
"""


@pytest.fixture
def importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mcp/server"
    package.mkdir(parents=True)
    for name in ("request_state", "other"):
        (package / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    without_cryptography.apply()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
        del sys.modules[name]


@pytest.mark.usefixtures("importing")
def test_a_library_that_imports_it_can_be_imported() -> None:
    module = importlib.import_module("mcp.server.request_state")

    # The first test vector of RFC 5869.
    assert module.derive(b"\x0b" * 22).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    with pytest.raises(NotImplementedError, match="native code that is not part of the sandbox"):
        module.AESGCM(b"k" * 32).encrypt(b"nonce", b"text", None)


@pytest.mark.usefixtures("importing")
def test_for_everybody_else_it_is_not_installed() -> None:
    importlib.import_module("mcp.server.request_state")

    assert not any(name.partition(".")[0] == "cryptography" for name in sys.modules)
    with pytest.raises(ModuleNotFoundError, match="cryptography"):
        importlib.import_module("mcp.server.other")


def test_it_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = len(sys.meta_path)
    without_cryptography.apply()
    without_cryptography.apply()
    assert len(sys.meta_path) == before + 1
