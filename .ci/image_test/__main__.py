"""Runs the images as a platform does: `python3 .ci/image_test [--short] [PROMISE...]`, as root, on a machine with Debian's packages.

Starts a Docker engine with its own data, socket and networks, makes base images with `mmdebstrap` (no registry is
asked), builds the images, and holds them against what they promise. Everything it starts ends with it, and what it
wrote goes. Says one line a promise; the first that does not hold is the end.

`--short` holds the promises CI has time for. Where no container can run, it says why in one line and leaves them
out; the whole fails there.
"""

import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from image_test.machine import Engine, Unavailable  # noqa: E402  (the module path is only complete now)
from image_test.promises import ALL, SHORT, Promise  # noqa: E402
from image_test.saying import Failed, tell  # noqa: E402
from image_test.tests import Tests  # noqa: E402


def main() -> None:
    """Everything, one after the other."""
    # Ended from outside, what was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = sys.argv[1:]
    is_short = "--short" in arguments
    named = [name for name in arguments if name != "--short"]
    if unknown := set(named) - {promise.__name__ for promise in ALL}:
        raise SystemExit(f"error: no promise is called {', '.join(sorted(unknown))}")
    promises = [promise for promise in ALL if promise.__name__ in named] or (
        SHORT if is_short else ALL
    )
    try:
        hold(promises)
    except Unavailable as unavailable:
        if not is_short:
            raise SystemExit(f"error: {unavailable}") from None
        print(f"image-test: left out, {unavailable}")
    except (Failed, subprocess.TimeoutExpired) as failed:
        raise SystemExit(f"FAILED {failed}") from None


def hold(promises: list[Promise]) -> None:
    """Holds promises in an engine that is started for them."""
    with contextlib.ExitStack() as stack:
        place = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="par-image-", ignore_cleanup_errors=True)
            )
        )
        # The agents in the containers are other users.
        place.chmod(0o755)
        engine = stack.enter_context(Engine.start(place))
        tests = Tests(engine, place)
        for promise in promises:
            try:
                promise(tests)
            except (Failed, subprocess.TimeoutExpired) as failed:
                if engine.is_lost():
                    raise Unavailable(f"the engine ended during {promise.__name__}") from None
                raise Failed(f"{promise.__name__}: {failed}") from None
            tell(f"ok    {promise.__doc__.splitlines()[0]}")


main()
