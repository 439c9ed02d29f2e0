"""Optimises WebAssembly with `wasm-opt` of the Binaryen project, which comes from Debian."""

import json
import shutil
from pathlib import Path

from build.cache import entry
from build.errors import BuildError
from build.key import Inputs, file_digest
from build.paths import GUEST_PYTHON
from build.run import run
from extensions.debian import unpack_packages

VERSION = "108"
"""Of Binaryen in Debian 12. Another one may optimise differently: measure before changing it."""

OPTIONS = [
    "-O3",
    # The engine checks the stack at every entry of a function, and saves registers: much of what
    # a small one of Python's costs. Twice as much makes the code slower again.
    "--always-inline-max-function-size=40",
    "--flexible-inline-max-function-size=100",
    # By default a function with one caller disappears in it, whatever its size. The bytecode loop
    # became a third larger by it, and the validators of pydantic slower.
    "--one-caller-inline-max-function-size=40",
    "--debuginfo",
    # The features the guest's libraries were built with, all of which the engine has.
    "--enable-bulk-memory",
    "--enable-extended-const",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
    # Python's bytecode loop is cut into functions that call each other in the place of a return.
    "--enable-tail-call",
]
"""For speed, and with the names of functions, by which traps and profiles are read."""


def inputs() -> list[str]:
    """What decides, beside the code, what comes of it."""
    return [VERSION, *OPTIONS]


def optimize(module: Path) -> Path:
    """The core module `module`, optimised, from the cache when it is the same code."""

    def make(directory: Path) -> None:
        run(
            [_wasm_opt(), *OPTIONS, module, "--output", directory / "code.wasm"],
            what="optimise the code of the guest",
        )

    key = Inputs("optimized").value("optimizer", inputs()).value("code", file_digest(module)).key()
    return entry("optimized", key, make, "the optimised code of the guest") / "code.wasm"


def _wasm_opt() -> Path:
    """The program, fetched when this is the first build that needs it."""

    def make(directory: Path) -> None:
        work = directory / "work"
        work.mkdir()
        packages = unpack_packages(["binaryen"], directory / "root", work)
        if packages["binaryen"].partition("-")[0] != VERSION:
            raise BuildError(
                f"the guest is optimised by Binaryen {VERSION}, Debian has {packages['binaryen']}",
                "set `VERSION` in `guest-python/build/binaryen.py` and run the tests",
            )
        (directory / "packages.json").write_text(json.dumps(packages, indent=2) + "\n")
        shutil.rmtree(work)

    key = (
        Inputs("binaryen")
        .value("version", VERSION)
        .files(Path(__file__), GUEST_PYTHON / "extensions/debian.py")
        .key()
    )
    return entry("binaryen", key, make, "Binaryen") / "root/usr/bin/wasm-opt"
