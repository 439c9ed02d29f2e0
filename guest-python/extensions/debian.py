"""Fetches Debian packages without root and unpacks them into a directory.

apt runs on a state directory of its own, so neither stale lists nor a missing `sudo` matter,
and nothing on the machine changes. It verifies signatures as always: what arrives is what
the distribution's keys signed.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from build.cache import say
from build.errors import BuildError
from build.run import run

HINT = "the compilers come from Debian: build on Debian 12 or newer, or in a Debian container"


def unpack_packages(names: Sequence[str], root: Path, work: Path) -> dict[str, str]:
    """Unpacks `names` and all they depend on into `root`; `work` is scratch space.

    Dependencies already installed on this machine are used where they are. Returns the
    version of each package unpacked.
    """
    apt = _private_apt(work)
    try:
        run(["apt-get", *apt, "update", "-qq"], what="read every package list")
    except BuildError as error:
        # A source that does not answer need not be one that is used here; if it is, the
        # next step says what it misses.
        say(str(error))
    plan = run(
        [
            "apt-get",
            *apt,
            "install",
            "--simulate",
            "--reinstall",
            "--no-install-recommends",
            *names,
        ],
        what=f"find {', '.join(names)} in Debian",
        hint=HINT,
    )
    chosen = dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", plan, re.MULTILINE))
    if missing := set(names) - chosen.keys():
        raise BuildError(f"Debian would not install `{min(missing)}`", HINT)
    downloads = work / "packages"
    downloads.mkdir()
    run(
        ["apt-get", *apt, "download", "-qq", *(f"{name}={chosen[name]}" for name in chosen)],
        what="download Debian packages",
        cwd=downloads,
    )
    for package in sorted(downloads.glob("*.deb")):
        run(["dpkg", "-x", package, root], what=f"unpack `{package.name}`")
        package.unlink()
    return chosen


def _private_apt(work: Path) -> list[str]:
    for directory in ("lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    options = {
        "Dir::State": work,
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": "/var/lib/dpkg/status",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
    }
    return [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
