"""The Docker engine, started for the promises and ended after them, and the base images."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import image

from image_test.saying import Failed, ran, said, until

NEEDED = {"dockerd": "docker.io", "mmdebstrap": "mmdebstrap", "curl": "curl"}
"""Programs and the Debian packages that have them."""

WAYS = [[], ["--storage-driver=vfs"]]
"""Options an engine may come up with: a machine without overlay file systems still copies."""

BASE, RELEASE = "par-base:test", "bookworm"

STARTING = 120
"""How long an engine may take to start. Unit: seconds."""


class Unavailable(Exception):
    """This machine does not run containers. A sentence says why."""


class Engine:
    """An engine with data, socket and a network of its own. It changes no rule of the machine's firewall."""

    def __init__(self, place: Path, daemon: subprocess.Popen) -> None:
        self.place, self.daemon = place, daemon
        self.network, self.gateway = f"par{os.getpid()}", ""

    @classmethod
    @contextlib.contextmanager
    def start(cls, place: Path) -> Iterator[Self]:
        """Starts one that has run a container."""
        if os.geteuid():
            raise Unavailable("only root starts a Docker engine")
        if missing := [package for name, package in NEEDED.items() if not shutil.which(name)]:
            raise Unavailable(f"these Debian packages are not installed: {', '.join(missing)}")
        # The client of the engine: another one in front of it may be too new to build with it.
        if "DOCKER" not in os.environ and Path("/usr/bin/docker").exists():
            image.DOCKER = "/usr/bin/docker"
        os.environ["DOCKER_HOST"] = f"unix://{place}/docker.sock"
        engine = cls(place, cls.daemon_in(place))
        try:
            engine.gateway = engine.make_network(engine.network)
            if "PAR_IMAGE_BASE" not in os.environ:
                engine.base(BASE, "ca-certificates")
                os.environ["PAR_IMAGE_BASE"] = BASE
            engine.try_out()
            yield engine
        finally:
            engine.end()

    @staticmethod
    def daemon_in(place: Path) -> subprocess.Popen:
        """The first that comes up."""
        # No bridge of its own and no firewall: containers are reached at their addresses, and nobody leaves.
        own = ["--bridge=none", "--iptables=false", "--ip-masq=false"]
        log = place / "dockerd.log"
        for way in WAYS:
            places = [f"--data-root={place}/data", f"--exec-root={place}/exec"]
            command = ["dockerd", *places, f"--pidfile={place}/docker.pid", *own, *way]
            with log.open("w") as output:
                daemon = subprocess.Popen(
                    [*command, f"--host={os.environ['DOCKER_HOST']}"],
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            with contextlib.suppress(Failed):
                until("the engine", lambda daemon=daemon: is_up(daemon), STARTING)
                if daemon.poll() is None:
                    return daemon
            end(daemon)
        last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
        raise Unavailable(f"no Docker engine starts here: {''.join(last) or 'it says nothing'}")

    def make_network(self, name: str, *options: str) -> str:
        """A network only this machine and its containers are in; its bridge has its name. Returns the machine's address there."""
        bridge = f"--opt=com.docker.network.bridge.name={name}"
        done = ran(image.DOCKER, "network", "create", "--internal", bridge, *options, name)
        if done.returncode:
            raise Unavailable(f"no network can be made for containers: {done.stderr.strip()}")
        gateway = "{{(index .IPAM.Config 0).Gateway}}"
        return said(image.DOCKER, "network", "inspect", name, f"--format={gateway}")

    def base(self, name: str, packages: str) -> None:
        """A Debian made from packages, as an image."""
        tree = self.place / "base.tar"
        made = ran(
            "mmdebstrap",
            "--quiet",
            "--variant=essential",
            f"--include={packages}",
            RELEASE,
            str(tree),
        )
        if made.returncode:
            lines = made.stderr.strip().splitlines() or ["it says nothing"]
            raise Unavailable(f"`mmdebstrap` makes no Debian here: {lines[-1]}")
        said(image.DOCKER, "import", str(tree), name)
        tree.unlink()

    def try_out(self) -> None:
        """Runs a container as the promises do, and builds in one: what fails here is the machine's."""
        base = base_image()
        limits = ["--read-only", "--cap-drop=ALL", "--pids-limit=64", "--memory=64m"]
        done = ran(
            image.DOCKER, "run", "--rm", f"--network={self.network}", *limits, base, "/bin/true"
        )
        if done.returncode:
            raise Unavailable(f"no container runs here: {done.stderr.strip()}")
        file = f"FROM {base}\nRUN true\n"
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        command = [image.DOCKER, "build", "--quiet", "--network=host", "-"]
        done = ran(*command, input=file, env=environment)
        if done.returncode:
            raise Unavailable(f"no image is built here: {done.stderr.strip()}")

    def is_lost(self) -> bool:
        """Whether it is no longer there."""
        return self.daemon.poll() is not None

    def end(self) -> None:
        """Ends it, whatever state it is in, with all it started."""
        if not self.is_lost():
            ids = ran(image.DOCKER, "ps", "--all", "--quiet").stdout.split()
            if ids:
                ran(image.DOCKER, "rm", "--force", "--volumes", *ids)
            ran(image.DOCKER, "network", "prune", "--force")
        end(self.daemon)
        # An engine that was killed leaves the processes that hold its containers.
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes()
                if str(self.place).encode() in words and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGKILL)
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        places = [line.split()[1] for line in mounts]
        for mounted in sorted(one for one in places if one.startswith(f"{self.place}/"))[::-1]:
            ran("umount", "--lazy", mounted)
        for bridge in Path("/sys/class/net").glob(f"{self.network}*"):
            if shutil.which("ip"):
                ran("ip", "link", "delete", bridge.name)


def base_image() -> str:
    """What the hardened image takes its libraries from; it has a shell."""
    return os.environ["PAR_IMAGE_BASE"]


def is_up(daemon: subprocess.Popen) -> bool:
    """Whether an engine answers, or never will."""
    return daemon.poll() is not None or ran(image.DOCKER, "version").returncode == 0


def end(daemon: subprocess.Popen) -> None:
    """Ends a program, politely first."""
    daemon.terminate()
    try:
        daemon.wait(60)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
