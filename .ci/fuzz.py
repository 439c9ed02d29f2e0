"""Fuzzes the readers of hostile bytes; the first input that breaks one fails.

`python3 .ci/fuzz.py [SECONDS|repeat] [TARGET...]`: every target for so long, 20 seconds unless said
otherwise. Corpora, and inputs that broke something, are in `target/fuzz`. What breaks becomes a
test beside the code, with the bug. `repeat` tries the same inputs each time, so that a change is
judged by what it changed and not by what luck found. The compiler is the stable one: `cargo fuzz`,
for which the directory is laid out, needs a nightly.
"""

import os
import sys
import tempfile
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[0] = str(REPOSITORY / "guest-python")

from build.errors import BuildError  # noqa: E402  (the module path is only complete now)
from build.program import main  # noqa: E402
from build.run import run  # noqa: E402

FUZZ = REPOSITORY / "fuzz"

INSTRUMENT = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
]
"""What `cargo fuzz` passes, but for the address sanitizer, which the stable compiler lacks: the
code that is fuzzed forbids `unsafe`."""

LIMITS = ["-rss_limit_mb=1024", "-timeout=10", "-max_len=20000", "-print_final_stats=1"]
"""A parser that needs more memory or time for 20 KB is broken as well."""

REPEATED = ["-seed=1", "-runs=50000"]
"""With a corpus of the planted inputs alone these make the same inputs in each run."""


def fuzz_all() -> None:
    """Builds the targets and runs them one after the other."""
    wanted = sys.argv[1:]
    is_said = bool(wanted) and (wanted[0].isdecimal() or wanted[0] == "repeat")
    how_long = wanted.pop(0) if is_said else "20"
    manifest = tomllib.loads((FUZZ / "Cargo.toml").read_text())
    targets = [target["name"] for target in manifest["bin"]]
    for target in wanted:
        if target not in targets:
            raise BuildError(f"no target `{target}`", f"one of: {', '.join(targets)}")

    target_dir = os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target"
    place = Path(target_dir).resolve() / "fuzz"
    print("building the fuzz targets", file=sys.stderr)
    programs = build(place)
    for target in wanted or targets:
        print(f"{target}: {fuzz(programs / target, place, how_long)}")


def build(place: Path) -> Path:
    """Compiles every target with coverage, and returns where the programs are."""
    host = run(["rustc", "--print", "host-tuple"], what="ask for this machine's target").strip()
    manifest = FUZZ / "Cargo.toml"
    # With a target of its own the flags do not reach build scripts and procedural macros.
    run(
        ["cargo", "build", "--release", "--locked", "--target", host, "--manifest-path", manifest],
        what="build the fuzz targets",
        env={
            **os.environ,
            "CARGO_TARGET_DIR": str(place),
            "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(INSTRUMENT),
        },
    )
    return place / host / "release"


def fuzz(program: Path, place: Path, how_long: str) -> str:
    """Runs one target and returns how far it came."""
    if how_long == "repeat":
        with tempfile.TemporaryDirectory(prefix="par-fuzz-") as corpus:
            return fuzz_from(Path(corpus), program, place, REPEATED)
    corpus = place / "corpus" / program.name
    corpus.mkdir(parents=True, exist_ok=True)
    return fuzz_from(corpus, program, place, [f"-max_total_time={how_long}"])


def fuzz_from(corpus: Path, program: Path, place: Path, limits: list[str]) -> str:
    """Runs one target on what grows from a corpus, within limits."""
    artifacts = place / "artifacts" / program.name
    artifacts.mkdir(parents=True, exist_ok=True)
    options = [*LIMITS, *limits, f"-artifact_prefix={artifacts}/"]
    dictionary = FUZZ / "dictionaries" / f"{program.name}.dict"
    if dictionary.exists():
        options.append(f"-dict={dictionary}")
    said = run(
        # The fuzzer speaks on its standard error.
        ["sh", "-c", 'exec "$@" 2>&1', "sh", program, *options, corpus],
        what=f"fuzz `{program.name}` to the end",
        env={**os.environ, "PAR_FUZZ_CORPUS": str(corpus)},
        hint=f"the input is in {artifacts}; give its path to {program}",
    ).splitlines()
    covered = next(line.split()[3] for line in reversed(said) if " cov: " in line)
    inputs = next(line.split()[-1] for line in said if "number_of_executed_units" in line)
    return f"{inputs} inputs, {covered} edges"


main(fuzz_all)
