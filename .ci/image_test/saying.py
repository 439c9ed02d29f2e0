"""Running programs, waiting, and saying what does not hold."""

import subprocess
import time
from collections.abc import Callable

PATIENCE = 300
"""How long anything may take before it counts as broken. No promise is about time. Unit: seconds."""


class Failed(Exception):
    """A promise that does not hold."""


def tell(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def ran(*command: str, **options: object) -> subprocess.CompletedProcess:
    """Runs a program to its end."""
    return subprocess.run(
        command, check=False, text=True, capture_output=True, timeout=PATIENCE * 2, **options
    )


def said(*command: str) -> str:
    """What a program says that must succeed."""
    done = ran(*command)
    if done.returncode:
        raise Failed(
            f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout.strip()


def until(what: str, holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits for something."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"{what} did not come")
        time.sleep(0.05)


def check(holds: object, message: str) -> None:
    """Holds a promise against what is."""
    if not holds:
        raise Failed(message)
