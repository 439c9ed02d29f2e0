"""The cache: each entry is a directory that is complete or absent, named by a content address."""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from build.paths import cache_root


def entry(kind: str, key: str, make: Callable[[Path], None], what: str) -> Path:
    """Returns the cache entry `kind/key`; `make` fills it when it does not exist.

    `make` gets an empty directory beside the final place. Only when it returns is the
    directory renamed there, so a build that fails or is interrupted leaves no entry. A lock
    makes a second build of the same entry wait for the first one.
    """
    final = cache_root() / kind / key
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with _lock(final.with_name(f".{key}.lock")):
        if final.is_dir():
            return final
        say(f"building {what}")
        started = time.monotonic()
        partial = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=final.parent))
        try:
            make(partial)
            partial.chmod(0o755)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        say(f"built {what} in {time.monotonic() - started:.0f} s")
    return final


def say(text: str) -> None:
    """Tells the person at the terminal what is going on; standard output stays for results."""
    print(f"just: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def copy_tree(source: Path, target: Path) -> None:
    """Copies a directory, without the leftovers of other interpreters."""
    shutil.copytree(
        source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )


def link_tree(source: Path, target: Path) -> None:
    """Copies a directory by hard links: entries of the cache never change."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=os.link)


def remove(path: Path) -> None:
    """Removes a file or a directory that must be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
