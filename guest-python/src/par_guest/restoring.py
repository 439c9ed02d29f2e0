"""Makes an instance that was restored from a snapshot its own again."""

from __future__ import annotations

import os
import random
import tempfile


def after_restore() -> None:
    """Reseeds `random` and reads the environment again.

    Without it every instance made from one snapshot would draw the same numbers, and would
    see the environment of the machine the snapshot was taken on.
    """
    random.seed()
    # Names of temporary files come from a generator of their own, made on first use.
    tempfile._name_sequence = None  # type: ignore[attr-defined]
    reload_environment = getattr(os, "reload_environ", None)  # from Python 3.14 on
    if reload_environment is not None:
        reload_environment()
