"""Functions the sandbox's Python was built without, where Python itself can do them."""

from __future__ import annotations

import hashlib
import os
import struct
import time

#: Who nobody is, on most systems: files of the sandbox belong to no user.
_NOBODY = 65534

_INNER = bytes(number ^ 0x36 for number in range(256))
_OUTER = bytes(number ^ 0x5C for number in range(256))


def apply() -> None:
    """Adds what is missing; what is there stays."""
    if not hasattr(hashlib, "pbkdf2_hmac"):
        hashlib.pbkdf2_hmac = pbkdf2_hmac
    if not hasattr(time, "thread_time"):
        # One thread: its time is that of the process.
        time.thread_time = time.process_time
        time.thread_time_ns = time.process_time_ns
    if not hasattr(hashlib, "scrypt"):
        hashlib.scrypt = scrypt
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        if not hasattr(os, name):
            setattr(os, name, _nobody)


def _nobody() -> int:
    """The number of the user the agent runs as."""
    return _NOBODY


def pbkdf2_hmac(
    hash_name: str, password: bytes, salt: bytes, iterations: int, dklen: int | None = None
) -> bytes:
    """`hashlib.pbkdf2_hmac` (RFC 8018, section 5.2), which comes with OpenSSL elsewhere."""
    first = hashlib.new(hash_name)
    wanted = first.digest_size if dklen is None else dklen
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    if wanted < 1:
        raise ValueError("key length must be greater than 0.")
    password = bytes(password)
    if len(password) > first.block_size:
        password = hashlib.new(hash_name, password).digest()
    password = password.ljust(first.block_size, b"\0")
    inner = hashlib.new(hash_name, password.translate(_INNER))
    outer = hashlib.new(hash_name, password.translate(_OUTER))

    def keyed(message: bytes) -> bytes:
        # The key is hashed once, not in each of what may be a million rounds.
        first_half, second_half = inner.copy(), outer.copy()
        first_half.update(message)
        second_half.update(first_half.digest())
        return second_half.digest()

    key = bytearray()
    block = 0
    while len(key) < wanted:
        block += 1
        latest = keyed(bytes(salt) + block.to_bytes(4, "big"))
        mixed = int.from_bytes(latest, "big")
        for _ in range(iterations - 1):
            latest = keyed(latest)
            mixed ^= int.from_bytes(latest, "big")
        key += mixed.to_bytes(first.digest_size, "big")
    return bytes(key[:wanted])


#: Most memory one call may use, as OpenSSL has it. Unit: bytes.
_SCRYPT_MEMORY = 32 * 1024 * 1024


def scrypt(
    password: bytes,
    *,
    salt: bytes,
    n: int,
    r: int,
    p: int,
    maxmem: int = 0,
    dklen: int = 64,
) -> bytes:
    """`hashlib.scrypt` (RFC 7914), which comes with OpenSSL elsewhere.

    Slow: it is meant to be, and this is Python. `docs/python.md` has the cost.
    """
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if r < 1 or p < 1 or dklen < 1 or 128 * r * (n + p) > (maxmem or _SCRYPT_MEMORY):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    blocks = pbkdf2_hmac("sha256", password, salt, 1, p * 128 * r)
    mixed = b"".join(
        _mix(blocks[start : start + 128 * r], n, r) for start in range(0, len(blocks), 128 * r)
    )
    return pbkdf2_hmac("sha256", password, mixed, 1, dklen)


def _mix(block: bytes, n: int, r: int) -> bytes:
    """`scryptROMix`."""
    size = 128 * r
    kept = []
    for _ in range(n):
        kept.append(block)
        block = _mix_block(block, r)
    for _ in range(n):
        which = int.from_bytes(block[size - 64 : size - 60], "little") & (n - 1)
        both = int.from_bytes(block, "little") ^ int.from_bytes(kept[which], "little")
        block = _mix_block(both.to_bytes(size, "little"), r)
    return block


def _mix_block(block: bytes, r: int) -> bytes:
    """`scryptBlockMix`."""
    last = int.from_bytes(block[-64:], "little")
    out = []
    for start in range(0, 128 * r, 64):
        last ^= int.from_bytes(block[start : start + 64], "little")
        mixed = _salsa(last.to_bytes(64, "little"))
        out.append(mixed)
        last = int.from_bytes(mixed, "little")
    return b"".join(out[::2] + out[1::2])


#: Which words a round of Salsa20 turns: the columns, then the rows.
_QUARTERS = (
    (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
    (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
)  # fmt: skip
_WORDS = struct.Struct("<16I")
_MASK = 0xFFFFFFFF


def _salsa(data: bytes) -> bytes:
    """Salsa20/8 of one block."""
    before = _WORDS.unpack(data)
    x = list(before)
    for _ in range(4):
        for a, b, c, d in _QUARTERS:
            word = (x[a] + x[d]) & _MASK
            x[b] ^= (word << 7 & _MASK) | word >> 25
            word = (x[b] + x[a]) & _MASK
            x[c] ^= (word << 9 & _MASK) | word >> 23
            word = (x[c] + x[b]) & _MASK
            x[d] ^= (word << 13 & _MASK) | word >> 19
            word = (x[d] + x[c]) & _MASK
            x[a] ^= (word << 18 & _MASK) | word >> 14
    return _WORDS.pack(*((one + two) & _MASK for one, two in zip(x, before, strict=True)))
