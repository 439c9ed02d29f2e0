"""What the requests of one instance share, and what they do not."""

import asyncio
import contextvars
import json
import threading
from concurrent.futures import ThreadPoolExecutor

REQUESTS = 10

tenant = contextvars.ContextVar("tenant", default="nobody")
local = threading.local()
queue = asyncio.Queue(1)
opened = asyncio.Event()
condition = asyncio.Condition()
together = asyncio.Barrier(REQUESTS)
one_at_a_time = asyncio.Lock()
inside = []


async def put(number):
    """Waits for room, which another request makes."""
    for piece in range(3):
        await queue.put([number, piece])
    return "put"


async def take(_):
    async with asyncio.timeout(20):
        return [await queue.get() for _ in range(3)]


async def wait(_):
    async with asyncio.timeout(20):
        await opened.wait()
        async with condition:
            await condition.wait_for(lambda: inside == ["told"])
    return "waited"


async def tell(_):
    opened.set()
    async with condition:
        inside.append("told")
        condition.notify_all()
    return "told"


async def context(number):
    """All of these requests are in the middle of it at once."""
    tenant.set(number)
    await together.wait()
    seen = [tenant.get()]

    async def in_a_task():
        seen.append(tenant.get())
        tenant.set("of the task")

    def in_a_thread():
        seen.append(tenant.get())
        tenant.set("of the thread")

    async with asyncio.TaskGroup() as group:
        group.create_task(in_a_task())
    await asyncio.to_thread(in_a_thread)
    await together.wait()
    asyncio.get_running_loop().call_soon(lambda: seen.append(tenant.get()))
    await asyncio.sleep(0.001)
    return [*seen, tenant.get()]


async def exclusive(number):
    """Whoever holds the lock waits, and nobody else gets in."""
    async with one_at_a_time:
        local.holder = number
        await asyncio.sleep(0.001)
        return local.holder == number


async def cancelled(_):
    """A task that is cancelled while it waits for a call of the host, and the cleaning up after it."""
    left = []

    async def waits():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            left.append("cleaned up")

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError as error:
        left.append(str(error))
    shielded = asyncio.create_task(asyncio.sleep(0.005, "survived"))
    try:
        async with asyncio.timeout(0.001):
            await asyncio.shield(shielded)
    except TimeoutError:
        left.append("timed out")
    left.append(await shielded)
    done, pending = await asyncio.wait(
        [asyncio.create_task(asyncio.sleep(0, 1)), asyncio.create_task(asyncio.Event().wait())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    left.append([len(done), len(pending)])
    for each in pending:
        each.cancel()
    with ThreadPoolExecutor() as pool:
        left.append([future.result() for future in map(pool.submit, [abs] * 2, [-1, -2])])
        left.append(await asyncio.get_running_loop().run_in_executor(pool, abs, -3))
    left.append([await each for each in asyncio.as_completed([asyncio.sleep(0, 4)])])
    return left


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name, _, number = scope["path"].strip("/").partition("/")
    answer = await globals()[name](number)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
