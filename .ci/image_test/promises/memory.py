"""What a container has in memory, and what happens at the end of it."""

from image_test.container import environment, get
from image_test.saying import check
from image_test.tests import Tests

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
    package = tests.of(tests.asgi("hungry", HUNGRY))
    one = environment(PAR_INSTANCES="1")
    with tests.running(*package, *one, *environment(PAR_MEMORY_MIB="128")) as container:
        container.ready()
        check(get(container.url("/agents/app-1/eat"))[0] == 507, container.log())
        check(get(container.url("/agents/app-1/"))[0] == 200, "it does not answer any more")
        check(container.look("{{.State.OOMKilled}}") == "false", "killed")
    code, log = tests.refused(*package, *one, "--memory=32m", "--memory-swap=32m")
    check(code == 17 and "not enough memory" in log, f"exit {code}\n{log}")
    # Limits that together are above the container's are told before anybody is killed for them.
    with tests.running(*package, *one, *environment(PAR_MEMORY_MIB="512")) as container:
        container.ready()
        told = container.events("Instances may use more memory than there is")
        check(told, f"no word about it:\n{container.log()}")
