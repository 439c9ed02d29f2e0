"""Builds the images from what is built on this machine.

`python3 .ci/image.py context DIRECTORY` puts together what an image is made of: `par`, the guest, `uv`, the bill
of materials. `python3 .ci/image.py build [TARGET...]` builds `par:hardened` and `par:full` from that. The
bases are those of the Dockerfile, or `PAR_IMAGE_BASE` and `PAR_IMAGE_FULL_BASE`; `DOCKER` is the client.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCKER = os.environ.get("DOCKER", "docker")
TARGETS = ["hardened", "full"]


def main() -> None:
    """Does what was asked for."""
    match sys.argv[1:]:
        case ["context", directory]:
            context(Path(directory))
        case ["build", *targets]:
            directory = REPOSITORY / "target/image"
            context(directory)
            for target in targets or TARGETS:
                build(directory, target)
        case _:
            raise SystemExit(__doc__)


def context(directory: Path) -> None:
    """Everything the prebuilt stages copy, and nothing else."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    # Line tables are for backtraces at a desk; what an image needs are the names.
    run("strip", "--strip-debug", "-o", str(directory / "par"), str(target / "release/par"))
    shutil.copytree(REPOSITORY / "target/guest", directory / "guest")
    tools = run(sys.executable, str(REPOSITORY / ".ci/tools.py"), "uv")
    shutil.copy2(Path(tools) / "bin/uv", directory / "uv")
    shutil.copytree(REPOSITORY / ".ci/image", directory / "image")
    run(sys.executable, str(REPOSITORY / ".ci/sbom.py"), str(directory))


def build(directory: Path, target: str, *options: str) -> str:
    """Builds one image and returns its name."""
    name = f"par:{target}"
    manifest = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())
    revision = run("git", "-C", str(REPOSITORY), "rev-parse", "HEAD")
    arguments = {
        "ARTEFACTS": "prebuilt",
        "VERSION": manifest["workspace"]["package"]["version"],
        "REVISION": revision,
        "BASE": os.environ.get("PAR_IMAGE_BASE"),
        "FULL_BASE": os.environ.get("PAR_IMAGE_FULL_BASE"),
    }
    given = [f"--build-arg={key}={value}" for key, value in arguments.items() if value]
    file = f"--file={REPOSITORY / 'Dockerfile'}"
    os.environ["DOCKER_BUILDKIT"] = "1"
    run(
        DOCKER,
        "build",
        "--quiet",
        "--network=host",
        file,
        f"--target={target}",
        f"--tag={name}",
        *given,
        *options,
        str(directory),
    )
    print(f"built {name}")
    return name


def run(*command: str) -> str:
    """Runs a program and returns what it says."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"error: `{' '.join(command)}` ended with {done.returncode}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
