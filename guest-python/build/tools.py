"""The pinned Python tools of the build, kept apart from the Python that runs it."""

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from build.cache import entry
from build.key import Inputs
from build.paths import GUEST_PYTHON, REQUIREMENTS
from build.run import run

PINNED = REQUIREMENTS / "tools.txt"
"""componentize-py and what the build itself imports, with versions and hashes."""


class Tools:
    """What `requirements/tools.txt` names, installed."""

    def __init__(self, directory: Path) -> None:
        self._packages = directory / "packages"
        self.pip = directory / "pip/bin/python"

    def python(
        self, arguments: Sequence[str | Path], *, what: str, env: Mapping[str, str] = {}
    ) -> str:
        """Runs Python with the tools and the build programs on its module path."""
        path = os.pathsep.join([str(self._packages), str(GUEST_PYTHON)])
        return run(
            [sys.executable, *arguments], what=what, env={**os.environ, **env, "PYTHONPATH": path}
        )

    def version(self, distribution: str) -> str:
        """The installed version of one of the tools."""
        prefix = distribution.replace("-", "_") + "-"
        (metadata,) = self._packages.glob(f"{prefix}*.dist-info")
        return metadata.name.removeprefix(prefix).removesuffix(".dist-info")

    def programs(self) -> Path:
        """The directory of the tools' own programs (`maturin`)."""
        return self._packages / "bin"

    def packages(self) -> Path:
        """The directory the tools are imported from."""
        return self._packages


@functools.cache
def tools() -> Tools:
    """Installs the tools when this is the first build with these pins."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = Inputs("tools").files(PINNED).value("python", [version, sys.platform]).key()

    def make(directory: Path) -> None:
        run(
            [sys.executable, "-m", "venv", directory / "pip"],
            what="make a virtual environment",
            hint="on Debian: `apt-get install python3-venv`",
        )
        install(directory / "pip/bin/python", PINNED, directory / "packages")

    return Tools(entry("tools", key, make, "the build tools"))


def install(pip: Path, requirements: Path, target: Path, *options: str) -> None:
    """Installs the wheels that a requirements file names by hash into a directory."""
    run(
        [
            pip,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-warn-script-location",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            *options,
            "--target",
            target,
            "--requirement",
            requirements,
        ],
        what=f"install what `{requirements.name}` names",
    )
