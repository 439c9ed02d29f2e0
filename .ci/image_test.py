"""Runs the image as a platform does: `python3 .ci/image_test.py [PROMISE...]`, as root, on a machine with Debian's packages.

Starts a Docker engine of its own, with its own data and socket, makes base images with `mmdebstrap` (no registry
is asked), builds the images, and holds them against what they promise. Everything it starts ends with it, and
what it wrote goes. Says one line a promise; the first that does not hold is the end.

One file although it is long: its promises share one engine, one set of images and the few functions that ask them.
"""

import contextlib
import http.server
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import image

REPOSITORY = Path(__file__).resolve().parents[1]
PATIENCE = 120
"""How long anything may take before it counts as broken. No promise is about time."""

SIZE_LIMIT = 150_000_000
"""Of the compressed image, in bytes."""

HARDENED = [
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=128",
    "--memory=512m",
    "--memory-swap=512m",
    "--tmpfs=/tmp:rw,nosuid,nodev,noexec,size=64m",
    "--tmpfs=/var/cache/par:rw,nosuid,nodev,size=256m,uid=10001,gid=10001,mode=0700",
]
"""How the documented task definitions run it."""

BUCKET = "pixell-agent-packages"


class Failed(Exception):
    """A promise that does not hold."""


def main() -> None:
    """Everything, one after the other."""
    with contextlib.ExitStack() as stack:
        place = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="par-image-", ignore_cleanup_errors=True)
            )
        )
        place.chmod(0o755)
        stack.enter_context(engine(place))
        if "PAR_IMAGE_BASE" not in os.environ:
            os.environ["PAR_IMAGE_BASE"] = base(place, "par-base:test", "ca-certificates")
        context = place / "context"
        image.context(context)
        name = image.build(context, "hardened")
        packages = place / "packages"
        packages.mkdir(mode=0o755)
        tests = Tests(name, context, packages, stack.enter_context(objects(packages)))
        wanted = [
            promise for promise in PROMISES if not sys.argv[1:] or promise.__name__ in sys.argv[1:]
        ]
        for promise in wanted:
            promise(tests)
            print(f"ok    {promise.__doc__.splitlines()[0]}", flush=True)


# --- the machine ------------------------------------------------------------------------------


@contextlib.contextmanager
def engine(place: Path) -> Iterator[None]:
    """A Docker engine of our own, unless `DOCKER_HOST` names one."""
    if "DOCKER_HOST" in os.environ:
        yield
        return
    os.environ["DOCKER_HOST"] = f"unix://{place}/docker.sock"
    log = (place / "dockerd.log").open("w")
    options = [
        f"--data-root={place}/data",
        f"--exec-root={place}/exec",
        f"--pidfile={place}/docker.pid",
    ]
    daemon = subprocess.Popen(
        ["dockerd", *options, f"--host={os.environ['DOCKER_HOST']}"], stdout=log, stderr=log
    )
    try:
        until("the engine", lambda: ran(image.DOCKER, "version").returncode == 0)
        yield
    finally:
        daemon.terminate()
        daemon.wait()
        ran("sh", "-c", f"mount | grep -o '{place}/[^ ]*' | sort -r | xargs -r umount")


def base(place: Path, name: str, packages: str) -> str:
    """A Debian made from packages, as an image."""
    tree = place / "base.tar"
    said("mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(tree))
    said(image.DOCKER, "import", str(tree), name)
    tree.unlink()
    return name


def ran(*command: str, **options: object) -> subprocess.CompletedProcess:
    """Runs a program to its end."""
    return subprocess.run(
        command, check=False, text=True, capture_output=True, timeout=PATIENCE * 5, **options
    )


def said(*command: str) -> str:
    """What a program says that must succeed."""
    done = ran(*command)
    if done.returncode:
        raise Failed(
            f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout.strip()


def until(what: str, holds: object) -> None:
    """Waits for something."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"{what} did not come")
        time.sleep(0.05)


def check(holds: object, message: str) -> None:
    """Holds a promise against what is."""
    if not holds:
        raise Failed(message)


# --- what containers talk to ------------------------------------------------------------------


class Objects(http.server.BaseHTTPRequestHandler):
    """A store that speaks as much S3 as reading one object takes, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        """GetObject."""
        self.asked.append(f"GET {self.path}")
        name = self.path.split("?")[0].removeprefix(f"/{BUCKET}/")
        file = self.root / name
        if name.startswith("forbidden") or not file.is_file():
            self.reply(
                403,
                b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
                "application/xml",
            )
        else:
            self.reply(200, file.read_bytes(), "application/octet-stream")

    def __getattr__(self, name: str) -> object:
        """Every other method, which nobody should use."""
        if name.startswith("do_"):
            self.asked.append(f"{self.command} {self.path}")
            return lambda: self.reply(405, b"", "text/plain")
        raise AttributeError(name)

    def reply(self, status: int, body: bytes, kind: str) -> None:
        """One answer."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("etag", '"1"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def objects(root: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """The store, on every address of this machine."""
    kind = type("Store", (Objects,), {"root": root, "asked": []})
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()


def get(url: str, seconds: float = 30) -> tuple[int, bytes]:
    """Status and body of an answer."""
    request = urllib.request.Request(url, headers={"connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


# --- containers -------------------------------------------------------------------------------


class Tests:
    """What all promises need."""

    def __init__(
        self, name: str, context: Path, packages: Path, store: http.server.ThreadingHTTPServer
    ) -> None:
        self.image, self.context, self.packages, self.store = name, context, packages, store
        self.example = self.package("fastapi", self.locked(REPOSITORY / "tests/agents/fastapi"))

    def locked(self, source: Path) -> Path:
        """A copy with the lock an image without a resolver needs."""
        copy = self.context.parent / "locked" / source.name
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        variables = {
            "PATH": os.environ["PATH"],
            "PAR_UV": str(self.context / "uv"),
            "PAR_GUEST_DIR": str(self.context / "guest"),
            "PAR_CACHE_DIR": str(self.context.parent / "cache"),
        }
        done = ran(str(self.context / "par"), "lock", str(copy), env=variables)
        check(done.returncode == 0, done.stderr)
        return copy

    def package(self, name: str, source: Path | dict[str, str]) -> str:
        """Writes a package and returns its name."""
        file = self.packages / f"{name}-1.0.apkg"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            if isinstance(source, dict):
                for path, text in source.items():
                    archive.writestr(path, text)
            else:
                for path in sorted(source.rglob("*")):
                    if path.is_file() and "__pycache__" not in path.parts:
                        archive.write(path, path.relative_to(source))
        file.chmod(0o644)
        return file.name

    def asgi(self, name: str, main: str) -> str:
        """A package of one module."""
        manifest = f'name: {name}\nversion: "1.0"\ndescription: x\nhttp_server: main:app\n'
        return self.package(name, {"agent.yaml": manifest, "main.py": main})

    def of_store(self, address: str, key: str) -> list[str]:
        """The variables of a package in the store."""
        port = self.store.server_address[1]
        return environment(
            PACKAGE_URL=f"s3://{BUCKET}/{key}",
            AWS_ENDPOINT_URL_S3=f"http://{address}:{port}",
            AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
            AWS_SECRET_ACCESS_KEY="example",
        )

    @contextlib.contextmanager
    def running(self, package: str | None, *options: str) -> Iterator["Container"]:
        """A container of the image, hardened as documented."""
        mount = f"--volume={self.packages}:/packages:ro"
        where = environment(AGENT_PACKAGE_PATH=f"/packages/{package}") if package else []
        identity = environment(AGENT_APP_ID="app-1", BASE_PATH="/agents/{AGENT_APP_ID}")
        started = said(
            image.DOCKER,
            "run",
            "--detach",
            mount,
            *HARDENED,
            *identity,
            *where,
            *options,
            self.image,
        )
        container = Container(started)
        try:
            yield container
        finally:
            ran(image.DOCKER, "rm", "--force", "--volumes", started)

    def refused(self, package: str | None, *options: str) -> tuple[int, str]:
        """Exit code and log of a container that does not come up."""
        with self.running(package, *options) as container:
            return container.ended(), container.log()


def host_in(network: str) -> str:
    """The address of this machine in a network of the engine: the first one."""
    subnet = said(
        image.DOCKER, "network", "inspect", network, "--format={{(index .IPAM.Config 0).Subnet}}"
    )
    return str(ipaddress.ip_network(subnet)[1])


def environment(**variables: str) -> list[str]:
    """Options of `docker run`."""
    return [f"--env={name}={value}" for name, value in variables.items()]


class Container:
    """One container."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

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
        return self.look("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def url(self, path: str) -> str:
        """Of the REST port."""
        return f"http://{self.address()}:8080{path}"

    def ended(self) -> int:
        """Waits for the end and says the code."""
        return int(said(image.DOCKER, "wait", self.identity))


# --- promises ---------------------------------------------------------------------------------


def explains_itself(tests: Tests) -> None:
    """R206: started with nothing, the image explains itself and exits with 1."""
    done = ran(image.DOCKER, "run", "--rm", tests.image)
    check(done.returncode == 1, f"exit {done.returncode}")
    for word in ["AGENT_APP_ID", "PACKAGE_URL", "docker run", "par --help"]:
        check(word in done.stderr, done.stderr)


def three_surfaces(tests: Tests) -> None:
    """R203, R117, R121, R205: read-only, without privileges, limited, three surfaces answer."""
    with tests.running(tests.example) as container:
        container.ready()
        status, body = get(container.url("/health"))
        surfaces = json.loads(body)["surfaces"]
        check(
            status == 200 and surfaces == {"rest": True, "a2a": True, "ui": True},
            f"{status} {body!r}",
        )
        check(get(container.url("/agents/app-1/api/ping"))[0] == 200, "no REST")
        status, page = get(container.url("/agents/app-1/ui/"))
        check(status == 200 and b"<html" in page.lower(), "no UI")
        check(grpc_serving(container.address()), "no A2A")
        until("a healthy container", lambda: asked_health(container))
        check("10001" in container.look("{{.Config.User}}"), "not its own user")


def asked_health(container: Container) -> bool:
    """`par healthcheck`, as the engine runs it."""
    done = ran(image.DOCKER, "exec", container.identity, "/usr/local/bin/par", "healthcheck")
    return done.returncode == 0 and "answers 200" in done.stdout


def grpc_serving(address: str) -> bool:
    """Whether the standard health service says so; an empty message in a frame of its own is the question."""
    question = b"\0\0\0\0\0"
    answer = subprocess.run(
        [
            "curl",
            "--silent",
            "--http2-prior-knowledge",
            "--max-time",
            "30",
            "--data-binary",
            "@-",
            "--header",
            "content-type: application/grpc",
            "--header",
            "te: trailers",
            "--output",
            "-",
            f"http://{address}:50051/grpc.health.v1.Health/Check",
        ],
        input=question,
        capture_output=True,
        check=False,
    )
    # Field 1, the number 1: SERVING.
    return answer.stdout == b"\0\0\0\0\x02\x08\x01"


def refusals(tests: Tests) -> None:
    """R206, R236, R241: what is wrong is an exit with the code of its class and a line that says so."""
    (tests.packages / "corrupt-1.0.apkg").write_bytes(b"PK\x03\x04 this is no archive")
    (tests.packages / "corrupt-1.0.apkg").chmod(0o644)
    missing = tests.package(
        "missing",
        {
            "agent.yaml": 'name: missing\nversion: "1.0"\ndescription: x\nrest:\n  entry: routes:mount\n'
        },
    )
    gateway = host_in("bridge")
    no_identity = environment(AGENT_APP_ID="")
    cases = [
        (1, "AGENT_APP_ID", tests.example, no_identity),
        (1, "PACKAGE_URL", None, environment(PACKAGE_URL="file:///packages/x.apkg")),
        (11, "corrupt-1.0.apkg", "corrupt-1.0.apkg", []),
        (10, "403", None, tests.of_store(gateway, "forbidden-1.0.apkg")),
        (11, "routes", missing, []),
    ]
    for code, word, package, options in cases:
        got, log = tests.refused(package, *options)
        check(got == code, f"{word}: exit {got} and not {code}\n{log}")
        check(word in log, f"no `{word}` in\n{log}")
        check("Runtime ready" not in log, log)


def numpy_is_refused(tests: Tests) -> None:
    """R066: the hardened image has nothing to run numpy with, and says so."""
    manifest = 'name: needy\nversion: "1.0"\ndescription: x\nhttp_server: main:app\n'
    files = {"agent.yaml": manifest, "main.py": "import numpy\napp = None\n"}
    code, log = tests.refused(tests.package("undeclared", files))
    check(code == 14 and "numpy" in log and "Runtime ready" not in log, f"exit {code}\n{log}")
    files["requirements.txt"] = "numpy\n"
    code, log = tests.refused(tests.package("needy", files))
    check(code == 18, f"exit {code}\n{log}")
    check("needed to install dependencies" in log and "Runtime ready" not in log, log)


def fetches_from_s3(tests: Tests) -> None:
    """R204, R122, R120, R002: in a network of its own it makes one kind of call, GetObject, and asks for no name."""
    name = "par-test-capture"
    ran(image.DOCKER, "network", "rm", name)
    said(image.DOCKER, "network", "create", "--internal", name)
    try:
        gateway = host_in(name)
        bridge = "br-" + said(image.DOCKER, "network", "inspect", name, "--format={{.Id}}")[:12]
        tests.store.RequestHandlerClass.asked.clear()
        with capture(bridge) as packets:
            with tests.running(
                None, f"--network={name}", *tests.of_store(gateway, tests.example)
            ) as container:
                container.ready()
                address = container.address()
                check(get(container.url("/agents/app-1/api/ping"))[0] == 200, "no answer")
                said(image.DOCKER, "stop", "--time=40", container.identity)
                check(container.ended() == 0, container.log())
        asked = tests.store.RequestHandlerClass.asked
        check(
            asked and all(line.startswith(f"GET /{BUCKET}/{tests.example}") for line in asked),
            f"{asked}",
        )
        store = (gateway, tests.store.server_address[1])
        opened = {(to, port) for source, to, port, syn in packets if source == address and syn}
        check(opened == {store}, f"it connected to {opened}")
        other = {
            (to, port) for source, to, port, syn in packets if source == address and syn is None
        }
        check(not other, f"it sent {other}")
    finally:
        ran(image.DOCKER, "network", "rm", name)


@contextlib.contextmanager
def capture(interface: str) -> Iterator[list[tuple]]:
    """Every IPv4 packet of an interface: source, destination, port, and whether it opens a TCP connection; `None` for other protocols."""
    seen: list[tuple] = []
    everything = 0x0003
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything))
    listener.bind((interface, 0))
    listener.settimeout(0.1)
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                frame = listener.recv(65535)
                if frame[12:14] == b"\x08\x00":
                    seen.append(packet(frame[14:]))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        listener.close()


def packet(data: bytes) -> tuple:
    """What matters of one packet."""
    head = (data[0] & 15) * 4
    source, to = (socket.inet_ntoa(data[at : at + 4]) for at in (12, 16))
    port = int.from_bytes(data[head + 2 : head + 4], "big")
    flags = data[head + 13] if data[9] == 6 else None
    opens = None if flags is None else flags & 0x12 == 0x02
    return source, to, port, opens


SLOW = """
import asyncio
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    if scope['path'].endswith('/slow'):
        print('slow request arrived', flush=True)
        await asyncio.sleep(4)
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'done'})
"""


def drains_under_load(tests: Tests) -> None:
    """R213, R214, R216, R190: TERM under load: what was begun is answered, and it ends with 0 in time."""
    with tests.running(tests.asgi("slow", SLOW)) as container:
        container.ready()
        base = container.url("/agents/app-1")
        outcomes: list[object] = []

        def one() -> None:
            try:
                outcomes.append(get(f"{base}/slow", 60))
            except OSError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=one) for _ in range(40)]
        for thread in threads:
            thread.start()
        until("the requests", lambda: container.log().count("slow request arrived") == len(threads))
        said(image.DOCKER, "stop", "--time=35", container.identity)
        for thread in threads:
            thread.join()
        failed = [outcome for outcome in outcomes if outcome != (200, b"done")]
        check(len(outcomes) == 40 and not failed, f"{failed}")
        check(container.ended() == 0, container.log())


HUNGRY = """
kept = []
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    status = 200
    if scope['path'].endswith('/eat'):
        try:
            for _ in range(4096):
                kept.append(bytearray(1 << 20))
        except MemoryError:
            kept.clear()
            status = 507
    await send({'type': 'http.response.start', 'status': status, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'done'})
"""


def memory_is_limited(tests: Tests) -> None:
    """R218, R219: a hungry agent meets its own limit, not the container's; too small a container says so."""
    package = tests.asgi("hungry", HUNGRY)
    with tests.running(package, *environment(PAR_MEMORY_MIB="128", PAR_INSTANCES="1")) as container:
        container.ready()
        check(get(container.url("/agents/app-1/eat"))[0] == 507, container.log())
        check(get(container.url("/agents/app-1/"))[0] == 200, "it does not answer any more")
        check(container.look("{{.State.OOMKilled}}") == "false", "killed")
    code, log = tests.refused(
        package, "--memory=32m", "--memory-swap=32m", *environment(PAR_INSTANCES="1")
    )
    check(code == 17 and "not enough memory" in log, f"exit {code}\n{log}")


def any_user(tests: Tests) -> None:
    """R205: hostile 181: it runs as any user, with a name or without."""
    options = ["--user=54321:54321", "--tmpfs=/var/cache/par:rw,uid=54321,gid=54321,mode=0700"]
    with tests.running(tests.example, *options) as container:
        check(get(container.ready().url("/health"))[0] == 200, container.log())


def nothing_else_inside(tests: Tests) -> None:
    """R205: hostile 188: no shell, no Python, no compiler, nothing that gains privileges; labels and a bill of materials."""
    created = said(image.DOCKER, "create", tests.image)
    try:
        exported = subprocess.run(
            f"{image.DOCKER} export {created} | tar -tvf -",
            shell=True,
            check=True,
            text=True,
            capture_output=True,
        ).stdout
    finally:
        ran(image.DOCKER, "rm", created)
    files = [line.split()[5] for line in exported.splitlines() if not line.startswith("d")]
    programs = [line for line in exported.splitlines() if line.startswith("-") and "x" in line[:10]]
    names = {Path(line.split()[5]).name for line in programs}
    of_the_engine = {".dockerenv", "console", "hostname", "hosts", "resolv.conf"}
    others = {name for name in names - of_the_engine if name != "par" and ".so" not in name}
    check(not others, f"{sorted(others)}")
    for name in [
        "sh",
        "bash",
        "dash",
        "busybox",
        "python",
        "python3",
        "cc",
        "gcc",
        "ld",
        "apt",
        "dpkg",
        "perl",
    ]:
        check(not any(Path(file).name == name for file in files), f"there is `{name}`")
    check(
        not any(line[3] in "sS" or line[6] in "sS" for line in exported.splitlines()),
        "there is a setuid file",
    )
    bills = {"usr/local/share/par/par.cdx.json", "usr/local/share/par/image.cdx.json"}
    check(bills <= set(files), "no bill of materials")
    labels = json.loads(
        said(image.DOCKER, "inspect", "--format={{json .Config.Labels}}", tests.image)
    )
    for label in ["title", "version", "revision", "licenses"]:
        check(labels.get(f"org.opencontainers.image.{label}"), f"no label `{label}`")


def is_small(tests: Tests) -> None:
    """R205: compressed, the image stays below its budget."""
    saved = subprocess.run(
        f"{image.DOCKER} save {tests.image} | gzip -6 | wc -c",
        shell=True,
        check=True,
        text=True,
        capture_output=True,
    )
    size = int(saved.stdout)
    print(f"      {size / 1e6:.1f} MB compressed, of {SIZE_LIMIT / 1e6:.0f} MB")
    check(size < SIZE_LIMIT, f"{size} bytes")


def is_reproducible(tests: Tests) -> None:
    """R205: the same inputs make the same layers."""
    layers = "--format={{json .RootFS.Layers}}"
    first = said(image.DOCKER, "inspect", layers, tests.image)
    image.build(tests.context, "hardened", "--no-cache")
    second = said(image.DOCKER, "inspect", layers, tests.image)
    check(first == second, f"{first}\n{second}")


def starts_from_a_cache(tests: Tests) -> None:
    """R112, R169: started again with its cache, the agent is ready; the time is printed and not judged."""
    cache = "par-test-cache"
    ran(image.DOCKER, "volume", "rm", cache)
    said(image.DOCKER, "volume", "create", cache)
    times = []
    try:
        for _ in range(5):
            mount = f"--volume={tests.packages}:/packages:ro"
            options = [*HARDENED[:-1], f"--volume={cache}:/var/cache/par", mount]
            identity = environment(
                AGENT_APP_ID="app-1", AGENT_PACKAGE_PATH=f"/packages/{tests.example}"
            )
            container = Container(
                said(image.DOCKER, "run", "--detach", *options, *identity, tests.image)
            )
            try:
                container.ready()
                times.append(container.events("Runtime ready")[0]["details"]["boot_ms"])
            finally:
                ran(image.DOCKER, "rm", "--force", container.identity)
    finally:
        ran(image.DOCKER, "volume", "rm", cache)
    print(f"      ready after {', '.join(f'{time:.0f}' for time in times)} ms")


PROMISES = [
    explains_itself,
    three_surfaces,
    refusals,
    numpy_is_refused,
    fetches_from_s3,
    drains_under_load,
    memory_is_limited,
    any_user,
    nothing_else_inside,
    starts_from_a_cache,
    is_small,
    is_reproducible,
]

if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        print(f"FAILED {failed}", file=sys.stderr)
        sys.exit(1)
