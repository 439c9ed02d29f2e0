"""What leaves a container. It is in a network namespace of the promise's own, where every packet is recorded."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import image

from image_test.capture import Left, leaving
from image_test.container import Container, environment, get
from image_test.machine import base_image
from image_test.saying import check, ran, said
from image_test.tests import BUCKET, KEYS, Tests, of_store


@dataclass
class Namespace:
    """A network namespace whose only peer is this machine."""

    tests: Tests
    holder: Container
    gateway: str

    @contextlib.contextmanager
    def running(self, *options: str) -> Iterator[tuple[Container, Left]]:
        """A container in it, and what leaves."""
        network = f"--network=container:{self.holder.identity}"
        with leaving(int(self.holder.look("{{.State.Pid}}"))) as left:
            with self.tests.running(network, *options) as container:
                yield container, left

    def url(self, path: str) -> str:
        """Of the REST port."""
        return self.holder.url(path)


@contextlib.contextmanager
def namespace(tests: Tests) -> Iterator[Namespace]:
    """One that a container of the base keeps open."""
    # What this machine appends to names is not the container's.
    options = [f"--network={tests.engine.network}", "--dns-search=."]
    holder = Container.run(*options, base_image(), "sleep", "infinity")
    try:
        yield Namespace(tests, holder, tests.engine.gateway)
    finally:
        holder.remove()


def fetches_from_s3(tests: Tests) -> None:
    """R204, R122, R120, R002: in a network of its own it makes one kind of call, GetObject, and asks for no name."""
    with namespace(tests) as own, tests.store(own.gateway) as store:
        with own.running(*of_store(store, tests.example, **KEYS)) as (container, left):
            container.ready()
            check(get(own.url("/agents/app-1/api/ping"))[0] == 200, "no answer")
            check(container.stop() == 0, container.log())
        only_get_object(left, store, tests.example)
        check(left.opened == {place(store)}, f"it connected to {left.opened}")


def only_get_object(left: Left, store: str, key: str) -> None:
    """Whether nothing but one object was asked for, and no name at all."""
    asked = left.requests(*place(store))
    wanted = f"GET /{BUCKET}/{key}?x-id=GetObject HTTP/1.1"
    check(asked and set(asked) == {wanted}, f"it asked for {asked}")
    check(not left.datagrams and not left.other, f"it sent {left.names() or left.other}")


def place(url: str) -> tuple[str, int]:
    """Address and port of a URL."""
    address, _, port = url.removeprefix("http://").partition(":")
    return address, int(port)


def the_role_of_the_task_is_all_that_is_asked_for(tests: Tests) -> None:
    """R204, R122, R002: with a task's role, it asks the platform for that role's credentials, and S3 for the package."""
    network, address = f"{tests.engine.network}r", "169.254.170.2"
    options = ["--subnet=169.254.170.0/24", f"--gateway={address}"]
    tests.engine.make_network(network, *options)
    with namespace(tests) as own, tests.store(own.gateway) as store, roles(address) as asked:
        said(image.DOCKER, "network", "connect", network, own.holder.identity)
        role = environment(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/task")
        with own.running(*of_store(store, tests.example), *role) as (container, left):
            container.ready()
            check(container.stop() == 0, container.log())
        only_get_object(left, store, tests.example)
        check(left.opened == {place(store), (address, 80)}, f"it connected to {left.opened}")
        wanted = {"GET /v2/credentials/task HTTP/1.1"}
        check(set(left.requests(address, 80)) == wanted, f"{left.requests(address, 80)}")
        check(asked, "the platform was not asked")
    ran(image.DOCKER, "network", "rm", network)


@contextlib.contextmanager
def roles(address: str) -> Iterator[list[str]]:
    """What ECS has at that address: the credentials of the task's role."""
    asked: list[str] = []
    names = {"AccessKeyId": "AWS_ACCESS_KEY_ID", "SecretAccessKey": "AWS_SECRET_ACCESS_KEY"}
    keys = {name: KEYS[variable] for name, variable in names.items()}
    body = json.dumps({**keys, "Token": "", "Expiration": "2099-01-01T00:00:00Z"}).encode()

    class Role(http.server.BaseHTTPRequestHandler):
        """One answer to all."""

        def do_GET(self) -> None:
            """The credentials."""
            asked.append(self.path)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer((address, 80), Role)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


ASKING = """
import urllib.request
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    try:
        urllib.request.urlopen('http://' + scope['path'].rpartition('/')[2] + '/', timeout=5)
        said = 'answered'
    except OSError as error:
        said = str(error)
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': said.encode()})
"""


def names_are_asked_only_for_what_is_granted(tests: Tests) -> None:
    """R204: an agent's request to a host that is not granted asks for no name; one to a host that is asks for that one."""
    policy = 'version: 1\ngrant: {outbound: ["http://granted.example"]}\n'
    package = [*tests.of(tests.asgi("asking", ASKING)), *environment(PAR_POLICY=policy)]
    with namespace(tests) as own:
        with own.running(*package) as (container, left):
            container.ready()
            _, said_of_other = get(own.url("/agents/app-1/other.example"))
            check(b"host_not_granted" in said_of_other, f"{said_of_other!r}")
            check(not left.names() and not left.opened, f"{left.names()} {left.opened}")
            get(own.url("/agents/app-1/granted.example"))
            check(container.stop() == 0, container.log())
        check(left.names() == {"granted.example"}, f"it asked for {left.names()}")
        check(not left.opened and not left.other, f"{left.opened} {left.other}")
        # The bucket's own name is the only one that fetching asks for.
        bucket = environment(PACKAGE_URL=f"s3://{BUCKET}/a-1.0.apkg", FETCH_TIMEOUT_SEC="5", **KEYS)
        with own.running(*bucket) as (container, left):
            check(container.ended() == 10, container.log())
        wanted = {f"{BUCKET}.s3.us-east-2.amazonaws.com"}
        check(left.names() == wanted, f"it asked for {left.names()}")
