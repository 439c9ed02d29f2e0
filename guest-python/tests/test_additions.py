from __future__ import annotations

import hashlib

import pytest

from par_guest import additions


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "md5"])
@pytest.mark.parametrize("password", [b"", b"secret", b"x" * 200])
@pytest.mark.parametrize("length", [None, 1, 20, 100])
def test_derived_keys_are_those_of_openssl(name, password, length):
    expected = hashlib.pbkdf2_hmac(name, password, b"salt", 7, length)

    assert additions.pbkdf2_hmac(name, password, b"salt", 7, length) == expected


@pytest.mark.parametrize(("iterations", "length"), [(0, 16), (-1, 16), (1, 0)])
def test_what_makes_no_key_is_refused(iterations, length):
    with pytest.raises(ValueError, match="must be greater than 0"):
        additions.pbkdf2_hmac("sha256", b"p", b"s", iterations, length)


def test_what_python_has_stays():
    before = hashlib.pbkdf2_hmac

    additions.apply()

    assert hashlib.pbkdf2_hmac is before
