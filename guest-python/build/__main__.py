"""`python3 guest-python/build`: builds the guest and prints the path of its directory."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from build.program import main  # noqa: E402  (the module path is only complete now)


def build() -> None:
    """Builds what is missing, points `target/guest` to it and prints where it is."""
    from build.guest import guest
    from build.publish import point_to

    directory = guest()
    point_to(directory)
    print(directory)


main(build)
