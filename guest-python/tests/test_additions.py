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


@pytest.mark.parametrize("cost", [(2, 1, 1), (16, 1, 1), (16, 3, 2), (64, 8, 1)])
@pytest.mark.parametrize("length", [1, 64, 100])
def test_scrypt_is_that_of_openssl(cost, length):
    n, r, p = cost
    expected = hashlib.scrypt(b"secret", salt=b"salt", n=n, r=r, p=p, dklen=length)

    assert additions.scrypt(b"secret", salt=b"salt", n=n, r=r, p=p, dklen=length) == expected


@pytest.mark.parametrize("cost", [(3, 1, 1), (0, 1, 1), (16, 0, 1), (2**20, 8, 1)])
def test_a_cost_openssl_refuses_is_refused(cost):
    n, r, p = cost
    with pytest.raises(ValueError, match=r"power of 2|parameter|memory"):
        hashlib.scrypt(b"s", salt=b"s", n=n, r=r, p=p)
    with pytest.raises(ValueError, match=r"power of 2|parameter|memory"):
        additions.scrypt(b"s", salt=b"s", n=n, r=r, p=p)
