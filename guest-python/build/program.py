"""The life of a build program: run, and say in one sentence why it could not."""

import signal
import sys
from collections.abc import Callable

from build.errors import BuildError

OLDEST_PYTHON = (3, 11)


def main(build: Callable[[], None]) -> None:
    """Runs `build`; ends the process with 1 and a message when it fails."""
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        sys.exit(f"error: the guest is built with Python {wanted} or newer")
    # Ending like this, and not at once, lets the cache remove what is half built.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        build()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
