"""Containers, and what is asked of them."""

import json
import subprocess
import urllib.error
import urllib.request

import image

from image_test.saying import PATIENCE, Failed, ran, said, until

LIMITED = [
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=128",
    "--memory=512m",
    "--memory-swap=512m",
    "--tmpfs=/tmp:rw,nosuid,nodev,noexec,size=64m",
]
"""How the documented task definitions run it."""

CACHE = "--tmpfs=/var/cache/par:rw,exec,nosuid,nodev,size=256m,uid=10001,gid=10001,mode=0700"
"""A cache that ends with the container."""

PATIENT = {
    "REQUEST_TIMEOUT_SEC": str(PATIENCE),
    "GRACEFUL_SHUTDOWN_TIMEOUT_SEC": str(PATIENCE),
    "STARTUP_TIMEOUT_SEC": str(PATIENCE),
}
"""A machine that pauses is no reason to fail."""


def environment(**variables: str) -> list[str]:
    """Options of `docker run`."""
    return [f"--env={name}={value}" for name, value in variables.items()]


class Container:
    """One container."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    @classmethod
    def run(cls, *options: str) -> "Container":
        """Starts one."""
        return cls(said(image.DOCKER, "run", "--detach", *options))

    def remove(self) -> None:
        """Ends it and all that was its own."""
        ran(image.DOCKER, "rm", "--force", "--volumes", self.identity)

    def look(self, template: str) -> str:
        """What the engine knows."""
        return said(image.DOCKER, "inspect", f"--format={template}", self.identity)

    def log(self) -> str:
        """Standard output and standard error."""
        done = ran(image.DOCKER, "logs", self.identity)
        return done.stdout + done.stderr

    def events(self, event: str) -> list[dict]:
        """The lines of one event."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def ready(self) -> "Container":
        """Waits until every surface is up."""

        def up() -> bool:
            if self.look("{{.State.Running}}") != "true":
                raise Failed(f"the container ended:\n{self.log()}")
            return bool(self.events("Runtime ready"))

        until("the agent", up)
        return self

    def address(self) -> str:
        """Where it is."""
        return self.look("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}").split()[0]

    def url(self, path: str) -> str:
        """Of the REST port."""
        return f"http://{self.address()}:8080{path}"

    def stop(self) -> int:
        """TERM, and the code it ends with; 137 when it had to be killed."""
        said(image.DOCKER, "stop", f"--time={PATIENCE + 30}", self.identity)
        return self.ended()

    def ended(self) -> int:
        """Waits for the end and says the code."""
        return int(said(image.DOCKER, "wait", self.identity))


def get(url: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    request = urllib.request.Request(url, headers={"connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def is_healthy(container: Container) -> bool:
    """`par healthcheck`, as the engine runs it."""
    done = ran(image.DOCKER, "exec", container.identity, "/usr/local/bin/par", "healthcheck")
    return done.returncode == 0 and "answers 200" in done.stdout


def serves_grpc(address: str) -> bool:
    """Whether the standard health service says so; an empty message in a frame of its own is the question."""
    command = [
        "curl",
        "--silent",
        "--http2-prior-knowledge",
        "--data-binary",
        "@-",
        "--output",
        "-",
    ]
    headers = ["--header", "content-type: application/grpc", "--header", "te: trailers"]
    url = f"http://{address}:50051/grpc.health.v1.Health/Check"
    answer = subprocess.run(
        [*command, *headers, "--max-time", str(PATIENCE), url],
        input=b"\0\0\0\0\0",
        capture_output=True,
        check=False,
    )
    # Field 1, the number 1: SERVING.
    return answer.stdout == b"\0\0\0\0\x02\x08\x01"
