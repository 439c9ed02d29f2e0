"""`python3 guest-python/extensions`: builds the wheels and the allocator, prints their paths."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from build.program import main  # noqa: E402  (the module path is only complete now)


def build() -> None:
    """Builds every extension of `extensions.toml`, and PAR's own."""
    from extensions.allocator import allocator
    from extensions.wheels import wheels

    for built in wheels():
        print(built.wheel)
    print(allocator())


main(build)
