"""How a container ends."""

import threading

from image_test.container import get
from image_test.saying import check, until
from image_test.tests import Tests

SLOW = """
import asyncio
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    if scope['path'].endswith('/slow'):
        print('slow request arrived', flush=True)
        await asyncio.sleep(4)
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    for _ in range(4):
        await send({'type': 'http.response.body', 'body': b'done', 'more_body': True})
        await asyncio.sleep(0.2)
    await send({'type': 'http.response.body', 'body': b'.'})
"""

REQUESTS = 40


def drains_under_load(tests: Tests) -> None:
    """R213, R214, R216, R190: TERM under load: what was begun is answered to its end, and it ends with 0 in time."""
    with tests.running(*tests.of(tests.asgi("slow", SLOW))) as container:
        container.ready()
        url = container.url("/agents/app-1/slow")
        outcomes: list[object] = []

        def one() -> None:
            try:
                outcomes.append(get(url))
            except OSError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=one) for _ in range(REQUESTS)]
        for thread in threads:
            thread.start()
        until("the requests", lambda: container.log().count("slow request arrived") == REQUESTS)
        code = container.stop()
        for thread in threads:
            thread.join()
        failed = [outcome for outcome in outcomes if outcome != (200, b"donedonedonedone.")]
        check(len(outcomes) == REQUESTS and not failed, f"{failed}")
        check(code == 0, f"exit {code}\n{container.log()}")
