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


DEBIAN_MAIN = ["Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"]
"""Which of the indexes apt knows are of the distribution itself."""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""The keys of Debian's archive, as every Debian has them."""


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


def unpack_from_suite(name: str, suite: str, root: Path, work: Path) -> str:
    """Unpacks one package of another release of Debian, without what it depends on.

    Only for files that do not run here. Returns the version.
    """
    here = _private_apt(work)
    run(["apt-get", *here, "update", "-qq"], what="read every package list")
    mirrors = run(
        ["apt-get", *here, "indextargets", "--format", "$(REPO_URI)", *DEBIAN_MAIN],
        what="find the archive of Debian",
    ).split()
    if not mirrors:
        raise BuildError("apt on this machine knows no archive of Debian", HINT)
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirrors[0]} {suite} main\n")
    apt = [
        *here,
        "-o",
        f"Dir::Etc::SourceList={sources}",
        "-o",
        "Dir::Etc::SourceParts=/dev/null",
    ]
    run(["apt-get", *apt, "update", "-qq"], what=f"read the package list of Debian {suite}")
    run(
        ["apt-get", *apt, "download", "-qq", f"{name}/{suite}"],
        what=f"download `{name}` of Debian {suite}",
        hint=f"Debian {suite} has to have it, for the architecture of this machine",
        cwd=work,
    )
    (package,) = work.glob("*.deb")
    run(["dpkg", "-x", package, root], what=f"unpack `{package.name}`")
    return package.name.split("_")[1].replace("%3a", ":")


def _private_apt(work: Path) -> list[str]:
    for directory in ("lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    options = {
        "Dir::State": work,
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": "/var/lib/dpkg/status",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Languages": "none",
    }
    return [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
