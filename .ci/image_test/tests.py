"""What all promises need: the images, packages, a store."""

import contextlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import image

from image_test.container import CACHE, LIMITED, PATIENT, Container, environment
from image_test.machine import Engine
from image_test.saying import check, ran

BUCKET = "pixell-agent-packages"

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
}
"""Those the store accepts."""


class Tests:
    """What is made at most once, when the first promise needs it."""

    def __init__(self, engine: Engine, place: Path) -> None:
        self.engine, self.place = engine, place
        self.packages = place / BUCKET
        self.packages.mkdir(mode=0o755)

    @cached_property
    def context(self) -> Path:
        """What the images are made of."""
        context = self.place / "context"
        image.context(context)
        return context

    @cached_property
    def hardened(self) -> str:
        """The image without Python."""
        return image.build(self.context, "hardened")

    @cached_property
    def full(self) -> str:
        """The image with Python."""
        name = "par-full-base:test"
        if "PAR_IMAGE_FULL_BASE" not in os.environ:
            self.engine.base(name, "ca-certificates,libstdc++6,python3")
            os.environ["PAR_IMAGE_FULL_BASE"] = name
        return image.build(self.context, "full")

    @cached_property
    def example(self) -> str:
        """The example agent, with the lock an image without a resolver needs."""
        copy = self.place / "locked"
        source = image.REPOSITORY / "tests/agents/fastapi"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        variables = {
            "PATH": os.environ["PATH"],
            "PAR_UV": str(self.context / "uv"),
            "PAR_GUEST_DIR": str(self.context / "guest"),
            "PAR_CACHE_DIR": str(self.place / "cache"),
        }
        done = ran(str(self.context / "par"), "lock", str(copy), env=variables)
        check(done.returncode == 0, done.stderr)
        return self.package("fastapi", copy)

    def package(self, name: str, source: Path | dict[str, str]) -> str:
        """Writes a package and returns its name."""
        file = self.packages / f"{name}-1.0.apkg"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            if isinstance(source, dict):
                for path, text in source.items():
                    archive.writestr(path, text)
            else:
                for path in sorted(source.rglob("*")):
                    if path.is_file():
                        archive.write(path, path.relative_to(source))
        file.chmod(0o644)
        return file.name

    def asgi(self, name: str, main: str) -> str:
        """A package of one module."""
        manifest = f'name: {name}\nversion: "1.0"\ndescription: x\nhttp_server: main:app\n'
        return self.package(name, {"agent.yaml": manifest, "main.py": main})

    def of(self, package: str) -> list[str]:
        """The options of a package that lies beside the container."""
        where = environment(AGENT_PACKAGE_PATH=f"/packages/{package}")
        return [f"--volume={self.packages}:/packages:ro", *where]

    @contextlib.contextmanager
    def running(
        self, *options: str, of: str | None = None, cache: str = CACHE
    ) -> Iterator[Container]:
        """A container of the hardened image, or of another, limited as documented."""
        identity = environment(AGENT_APP_ID="app-1", BASE_PATH="/agents/{AGENT_APP_ID}", **PATIENT)
        network = f"--network={self.engine.network}"
        has_network = any(option.startswith("--network=") for option in options)
        container = Container.run(
            *([] if has_network else [network]),
            *LIMITED,
            cache,
            *identity,
            *options,
            of or self.hardened,
        )
        try:
            yield container
        finally:
            container.remove()

    def refused(self, *options: str, of: str | None = None) -> tuple[int, str]:
        """Exit code and log of a container that does not come up."""
        with self.running(*options, of=of) as container:
            return container.ended(), container.log()

    @contextlib.contextmanager
    def store(self, address: str) -> Iterator[str]:
        """An S3-compatible store with the packages, at an address of this machine. Its URL."""
        target = Path(os.environ.get("CARGO_TARGET_DIR", image.REPOSITORY / "target"))
        program = target / "release/par-objects"
        check(program.exists(), f"there is no `{program}`\nhint: run `just image-test`")
        serving = subprocess.Popen(
            [program, str(self.place), f"{address}:0"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert serving.stdout
            yield f"http://{serving.stdout.readline().strip()}"
        finally:
            serving.kill()
            serving.wait()


def of_store(store: str, key: str, **keys: str) -> list[str]:
    """The variables of a package in the store."""
    return environment(PACKAGE_URL=f"s3://{BUCKET}/{key}", AWS_ENDPOINT_URL_S3=store, **keys)
