"""Makes the guest of this checkout findable at a fixed place."""

import os
from pathlib import Path

from build.paths import REPOSITORY

LINK = REPOSITORY / "target/guest"
"""A symbolic link to the guest directory of the sources as they are in this checkout."""


def point_to(directory: Path) -> None:
    """Replaces the link in one step; a process that looks sees the old guest or the new."""
    LINK.parent.mkdir(exist_ok=True)
    temporary = LINK.with_name(f".guest.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(directory)
    temporary.replace(LINK)
