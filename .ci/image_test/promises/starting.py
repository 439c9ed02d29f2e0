"""How a container comes up, or does not."""

import json

import image

from image_test.container import Container, environment, get, is_healthy, serves_grpc
from image_test.saying import check, ran, said, tell, until
from image_test.tests import KEYS, Tests, of_store


def explains_itself(tests: Tests) -> None:
    """R206: started with nothing, the image explains itself and exits with 1."""
    done = ran(image.DOCKER, "run", "--rm", tests.hardened)
    check(done.returncode == 1, f"exit {done.returncode}")
    for word in ["AGENT_APP_ID", "PACKAGE_URL", "docker run", "par --help"]:
        check(word in done.stderr, done.stderr)


def three_surfaces(tests: Tests) -> None:
    """R203, R117, R121, R205: read-only, without privileges, limited, three surfaces answer."""
    with tests.running(*tests.of(tests.example)) as container:
        container.ready()
        surfaces_answer(container, "sandbox")
        check(get(container.url("/agents/app-1/api/ping"))[0] == 200, "no REST")
        check("10001" in container.look("{{.Config.User}}"), "not its own user")


def surfaces_answer(container: Container, backend: str) -> None:
    """Whether health, the UI and A2A say so, and `par healthcheck` does."""
    status, body = get(container.url("/health"))
    check(status == 200, f"{status} {body!r}")
    health = json.loads(body)
    check(health["surfaces"] == {"rest": True, "a2a": True, "ui": True}, f"{body!r}")
    check(health.get("backend", "sandbox") == backend, f"{body!r}")
    status, page = get(container.url("/agents/app-1/ui/"))
    check(status == 200 and b"<html" in page.lower(), "no UI")
    check(serves_grpc(container.address()), "no A2A")
    until("a healthy container", lambda: is_healthy(container))


def refusals(tests: Tests) -> None:
    """R206, R236, R241: what is wrong is an exit with the code of its class and a line that says so."""
    (tests.packages / "corrupt-1.0.apkg").write_bytes(b"PK\x03\x04 this is no archive")
    (tests.packages / "corrupt-1.0.apkg").chmod(0o644)
    manifest = 'name: missing\nversion: "1.0"\ndescription: x\nrest:\n  entry: routes:mount\n'
    missing = tests.package("missing", {"agent.yaml": manifest})
    no_identity = [*tests.of(tests.example), *environment(AGENT_APP_ID="")]
    forged = {**KEYS, "AWS_SECRET_ACCESS_KEY": "another"}
    with tests.store(tests.engine.gateway) as store:
        cases = [
            (1, "AGENT_APP_ID", no_identity),
            (1, "PACKAGE_URL", environment(PACKAGE_URL="file:///packages/x.apkg")),
            (11, "corrupt-1.0.apkg", tests.of("corrupt-1.0.apkg")),
            (11, "corrupt-1.0.apkg", of_store(store, "corrupt-1.0.apkg", **KEYS)),
            (10, "403 (SignatureDoesNotMatch)", of_store(store, tests.example, **forged)),
            (10, "404 (NoSuchKey)", of_store(store, "nobody-1.0.apkg", **KEYS)),
            (11, "routes", tests.of(missing)),
        ]
        for code, words, options in cases:
            got, log = tests.refused(*options)
            check(got == code, f"{words}: exit {got} and not {code}\n{log}")
            check(words in log, f"no `{words}` in\n{log}")
            check("Runtime ready" not in log, log)


def any_user(tests: Tests) -> None:
    """R205: hostile 181: it runs as any user, with a name or without."""
    options = ["--user=54321:54321", "--tmpfs=/var/cache/par:rw,uid=54321,gid=54321,mode=0700"]
    with tests.running(*tests.of(tests.example), *options) as container:
        check(get(container.ready().url("/health"))[0] == 200, container.log())


def starts_from_a_cache(tests: Tests) -> None:
    """R112, R169: started again with its cache, the agent is ready; the time is printed and not judged."""
    name = "par-test-cache"
    said(image.DOCKER, "volume", "create", name)
    times = []
    for _ in range(6):
        cache = f"--volume={name}:/var/cache/par"
        with tests.running(*tests.of(tests.example), cache=cache) as container:
            container.ready()
            times.append(container.events("Runtime ready")[0]["details"])
    boots = [f"{time['boot_ms']:.0f}" for time in times]
    tell(f"      ready after {boots[0]} ms, with a cache after {', '.join(boots[1:])} ms")
    said(image.DOCKER, "volume", "rm", name)
