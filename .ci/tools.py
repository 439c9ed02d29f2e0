"""Installs a pinned tool into PAR's cache, unless it is there, and prints where it is.

`python3 .ci/tools.py uv|cargo-deny|python-tests|uvicorn|imports`. The recipes of the justfile call
it; nothing is installed outside the cache.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[0] = str(REPOSITORY / "guest-python")

from build.cache import entry  # noqa: E402  (the module path is only complete now)
from build.errors import BuildError  # noqa: E402
from build.key import Inputs  # noqa: E402
from build.program import main  # noqa: E402
from build.run import run  # noqa: E402

UV_PINNED = REPOSITORY / "host/src/install/uv.txt"
"""The version of `uv` and its hashes; the runtime accepts this version only."""

CARGO_DENY = "0.20.2"

PYTHON_TESTS = REPOSITORY / "guest-python/tests/requirements.txt"

UVICORN = REPOSITORY / "tests/bench/requirements.txt"

IMPORTS = REPOSITORY / "tests/bench/imports.txt"


def uv() -> Path:
    """The directory with `bin/uv`, where `par` looks for it."""
    version = UV_PINNED.read_text().split()[0].removeprefix("uv==")

    def make(directory: Path) -> None:
        venv = directory / "venv"
        make_venv(venv)
        install(venv, "--require-hashes", "--requirement", UV_PINNED)
        (directory / "bin").mkdir()
        (venv / "bin/uv").rename(directory / "bin/uv")
        run(["rm", "-r", venv], what="remove what installed uv")

    return entry("tools", f"uv-{version}", make, f"uv {version}")


def cargo_deny() -> Path:
    """The directory with `bin/cargo-deny`, compiled without optimisation: that halves the wait."""

    def make(directory: Path) -> None:
        target = directory / "target"
        run(
            [
                "cargo",
                "install",
                "--quiet",
                "--locked",
                "--debug",
                "--root",
                directory,
                "--version",
                CARGO_DENY,
                "cargo-deny",
            ],
            what="compile cargo-deny",
            cwd=directory,
            env={
                **os.environ,
                "CARGO_TARGET_DIR": str(target),
                "CARGO_PROFILE_DEV_DEBUG": "0",
                "CARGO_INCREMENTAL": "0",
            },
        )
        run(["rm", "-r", target], what="remove what compiled cargo-deny")

    return entry("tools", f"cargo-deny-{CARGO_DENY}", make, f"cargo-deny {CARGO_DENY}")


def python_tests() -> Path:
    """A virtual environment with what the tests of `guest-python` run against."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = (
        Inputs("python-tests").files(PYTHON_TESTS).value("python", [version, sys.base_prefix]).key()
    )

    def make(directory: Path) -> None:
        make_venv(directory)
        install(directory, "--requirement", PYTHON_TESTS)

    return entry("python-tests", key, make, "the environment of the Python tests")


def uvicorn() -> Path:
    """A virtual environment with uvicorn and the FastAPI of the guest, for `just bench`."""
    return _beside_the_guest("uvicorn", UVICORN, "the environment of uvicorn")


def imports() -> Path:
    """A virtual environment with the libraries `just bench-imports` imports."""
    return _beside_the_guest("imports", IMPORTS, "the environment of the imports")


def _beside_the_guest(kind: str, requirements: Path, what: str) -> Path:
    """A virtual environment with what the guest carries in the guest's versions."""
    constraints = REPOSITORY / "target/guest/constraints.txt"
    if not constraints.exists():
        raise BuildError("there is no guest whose versions these should be", "run `just guest`")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = (
        Inputs(kind)
        .files(requirements, constraints)
        .value("python", [version, sys.base_prefix])
        .key()
    )

    def make(directory: Path) -> None:
        make_venv(directory)
        install(directory, "--constraint", constraints, "--requirement", requirements)

    return entry(kind, key, make, what)


def make_venv(directory: Path) -> None:
    """Makes a virtual environment that installs for itself."""
    run(
        [sys.executable, "-m", "venv", directory],
        what="make a virtual environment",
        hint="on Debian: `apt-get install python3-venv`",
    )


def install(venv: Path, *arguments: str | Path) -> None:
    """Installs wheels into a virtual environment."""
    run(
        [
            venv / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            *arguments,
        ],
        what=f"install what `{Path(arguments[-1]).name}` names",
    )


TOOLS: dict[str, Callable[[], Path]] = {
    "uv": uv,
    "cargo-deny": cargo_deny,
    "python-tests": python_tests,
    "uvicorn": uvicorn,
    "imports": imports,
}


def tools() -> None:
    """Installs the tools that were asked for."""
    for name in sys.argv[1:]:
        if name not in TOOLS:
            raise BuildError(f"`{name}` is not a tool of PAR", f"one of {', '.join(TOOLS)}")
        print(TOOLS[name]())


main(tools)
