"""Functions the sandbox's Python was built without, where Python itself can do them."""

from __future__ import annotations

import hashlib
import time

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
