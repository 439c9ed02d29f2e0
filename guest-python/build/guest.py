"""Puts the guest directory together: everything a host needs to run agents."""

import json
import re
import shutil
import tomllib
from pathlib import Path

from build.binaryen import inputs as optimizer_inputs
from build.binaryen import optimize
from build.cache import copy_tree, entry, link_tree, remove
from build.component import INSIDE, componentize
from build.errors import BuildError
from build.key import Inputs, file_digest
from build.layers import (
    PLATFORM_MOUNT,
    PYTHON_MOUNT,
    platform_key,
    platform_libraries,
    standard_library,
    standard_library_key,
)
from build.paths import GUEST_PYTHON, REPOSITORY
from build.run import run
from build.tools import PINNED, tools
from extensions.allocator import allocator, allocator_key
from extensions.index import write_index
from extensions.linked import ADDED, MOUNT, place, without_library
from extensions.table import TABLE, read_table
from extensions.wheels import wheel_keys, wheels

WIT = REPOSITORY / "wit"
WORLD = "agent"
APPLICATION = "par_component"
PREIMPORT = GUEST_PYTHON / "preimport.txt"
OWN_PYTHON = [GUEST_PYTHON / "src", GUEST_PYTHON / "platform"]
"""PAR's own Python: `par_guest`, and stand-ins for modules a sandbox cannot have."""

ON_THE_HOST = GUEST_PYTHON / "src/par_guest/native"
"""The part of it that runs on the host, in the place of a guest."""

TRIAL = GUEST_PYTHON / "build/trial"
"""The agent a guest has to serve before it is published."""

LINKER = REPOSITORY / "host/crates/sandbox/src/bin/par-link"
"""What makes one module of the component's many."""

ENGINE = [
    REPOSITORY / "host/crates/sandbox/src/engine.rs",
    REPOSITORY / "host/crates/sandbox/src/bin/par-precompile.rs",
]
"""What decides, beside the locked version of the engine, how the component is compiled."""

INDEX = GUEST_PYTHON / "extensions/index.py"

SCHEMA = 1
"""Of `guest.json`; `guest-python/README.md` documents it."""


def component_key() -> str:
    """The content address of the component and of the directory it imports from."""
    return (
        Inputs("component")
        .value("layers", [standard_library_key(), platform_key(), allocator_key()])
        .value("wheels", wheel_keys(carried_only=False))
        .value("linker", [optimizer_inputs(), _locked("wasm-encoder", "wasmparser")])
        .value("unoptimized", _unoptimized())
        .files(WIT, PREIMPORT, PINNED, INSIDE, LINKER, Path(__file__))
        .files(*OWN_PYTHON, without=ON_THE_HOST)
        .key()
    )


def guest_key() -> str:
    """The content address of the guest directory."""
    return (
        Inputs("guest")
        .value("component", component_key())
        .value("engine", _locked("wasmtime", "cranelift", "pulley"))
        .files(*ENGINE, TRIAL, TABLE, INDEX)
        .key()
    )


def guest() -> Path:
    """The guest directory, built when any of its inputs has changed."""

    def make(directory: Path) -> None:
        link_tree(component(), directory)
        link_tree(standard_library(), directory / "python")
        _precompile(directory)
        _add_wheels(directory)
        _describe(directory, key)
        _try(directory)

    key = guest_key()
    return entry("guest", key, make, "the guest")


def component() -> Path:
    """A directory with `agent.wasm`, the `platform/` it was made from, and `report.json`."""

    def make(directory: Path) -> None:
        platform, boot, notes = directory / "platform", directory / "boot", directory / "notes"
        native, added = directory / "native", directory / "added"
        link_tree(platform_libraries(), platform)
        for source in OWN_PYTHON:
            copy_tree(source, platform)
        remove(platform / ON_THE_HOST.relative_to(GUEST_PYTHON / "src"))
        _refuse_shadows(platform, standard_library())
        notes.mkdir()
        for built in wheels():
            place(built, native, added)
        shutil.copy(allocator(), native)
        copy_tree(INSIDE, boot)
        shutil.copy(PREIMPORT, boot)
        mounted = [boot, platform, notes, native, added]
        for libraries, mount in ((native, MOUNT), (added, ADDED)):
            libraries.mkdir(exist_ok=True)
            if mounted.index(libraries) != int(mount.removeprefix("/")):
                raise BuildError(f"the libraries would not be linked as `{mount}`")
        componentize(
            WIT,
            WORLD,
            APPLICATION,
            # Extensions are looked for in all of them, so none may be inside another.
            mounted,
            directory / "unlinked.wasm",
            what="make the component",
        )
        _link(directory)
        (notes / "report.json").rename(directory / "report.json")
        remove(native)
        remove(added)
        remove(notes)
        remove(boot)
        if component_key() != key:
            raise BuildError("the sources of the guest changed while it was built", "run it again")

    key = component_key()
    return entry("component", key, make, "the component")


def _refuse_shadows(platform: Path, standard: Path) -> None:
    """Nothing beside the standard library may take the name of one of its modules."""
    own = {path.name for path in platform.iterdir()} - {"__pycache__"}
    if shadows := own & {path.name for path in standard.iterdir()}:
        raise BuildError(f"the platform libraries bring `{min(shadows)}`, a name of Python's own")


def _link(directory: Path) -> None:
    """Makes `agent.wasm` of `unlinked.wasm`; only new code has to be optimised."""
    unlinked, code = directory / "unlinked.wasm", directory / "code.wasm"
    added = f"{ADDED}/"
    _run_host("par-link", ["code", unlinked, added, code], what="link the component")
    optimized = optimize(code)
    _run_host(
        "par-link",
        ["join", unlinked, added, optimized, directory / "agent.wasm"],
        what="put the linked component together",
    )
    remove(code)
    remove(unlinked)


def _unoptimized() -> list[str]:
    """The extensions that are added to the optimised code."""
    _, extensions = read_table()
    return [f"{one.name} {one.version}" for one in extensions if one.unoptimized]


def _precompile(directory: Path) -> None:
    _run_host(
        "par-precompile",
        [directory / "agent.wasm", directory / "agent.cwasm"],
        what="compile the component for this machine",
    )


def _try(directory: Path) -> None:
    """Nothing is published that has not served an agent in the engine that will run it."""
    _run_host("par-try-guest", [directory, TRIAL, "trial:app"], what="try the finished guest")


def _run_host(program: str, arguments: list[str | Path], what: str) -> None:
    run(
        # Not `--package par-sandbox`: alone, that crate would ask for fewer features of the
        # engine, which would then be compiled once more.
        ["cargo", "run", "--quiet", "--release", "--locked", "--bin", program, "--", *arguments],
        what=what,
        cwd=REPOSITORY,
        hint=f"`cargo build --release --bin {program}` shows whether the host compiles",
    )


def _add_wheels(directory: Path) -> None:
    (directory / "wheels").mkdir()
    for built in wheels():
        (directory / "wheels" / built.wheel.name).write_bytes(without_library(built))
    write_index(wheels(), directory / "index")


def _describe(directory: Path, key: str) -> None:
    report = json.loads((directory / "report.json").read_text())
    (directory / "report.json").unlink()
    carried = _distributions(directory / "platform")
    constraints = "".join(f"{name}=={version}\n" for name, version in carried.items())
    (directory / "constraints.txt").write_text(constraints)
    description = {
        "schema": SCHEMA,
        "key": key,
        "python": report.pop("python"),
        "componentize_py": tools().version("componentize-py"),
        "component": {"file": "agent.wasm", "sha256": file_digest(directory / "agent.wasm")},
        "precompiled": {"file": "agent.cwasm", "sha256": file_digest(directory / "agent.cwasm")},
        "mounts": [
            {"directory": "python", "at": PYTHON_MOUNT},
            {"directory": "platform", "at": PLATFORM_MOUNT},
        ],
        "constraints": "constraints.txt",
        "wheels": {
            wheel.name: file_digest(wheel) for wheel in sorted((directory / "wheels").iterdir())
        },
        "distributions": carried,
        **report,
    }
    (directory / "guest.json").write_text(json.dumps(description, indent=2) + "\n")


def _distributions(platform: Path) -> dict[str, str]:
    """Normalised name and version of everything installed in `platform`."""
    found = {}
    for metadata in platform.glob("*.dist-info"):
        name, version = metadata.name.removesuffix(".dist-info").rsplit("-", 1)
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return dict(sorted(found.items()))


def _locked(*prefixes: str) -> dict[str, str]:
    """The locked versions of the crates whose names begin with one of `prefixes`."""
    locked = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]
    return {
        package["name"]: package["version"]
        for package in locked
        if package["name"].startswith(prefixes)
    }
