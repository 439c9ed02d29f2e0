"""Where the sources are, and where what is built from them is kept."""

import os
from pathlib import Path

GUEST_PYTHON = Path(__file__).resolve().parents[1]
REPOSITORY = GUEST_PYTHON.parent
REQUIREMENTS = GUEST_PYTHON / "requirements"


def cache_root() -> Path:
    """The cache of PAR: `$PAR_CACHE`, else `par` in the user's cache directory."""
    if chosen := os.environ.get("PAR_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "par"
