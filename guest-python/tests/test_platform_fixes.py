"""What works without threads, processes and a temporary directory, and what is refused.

The fixes change the whole interpreter, so each test runs in one of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent

#: As in the sandbox: no directory for temporary files, and threads that cannot start.
SANDBOX = """
import tempfile
tempfile._candidate_tempdir_list = lambda: ["/nowhere"]

from par_guest import platform_fixes
platform_fixes.apply(in_sandbox=True)
"""


#: The one loop there is, made before the fixes as PAR makes its own.
LOOP = """
import asyncio
run_in_loop = asyncio.new_event_loop().run_until_complete
"""


def run(code, *, before="", fixes=SANDBOX):
    """Runs code in a Python as the sandbox has it; returns what it prints."""
    path = os.pathsep.join(str(ROOT / name) for name in ("src", "platform"))
    ran = subprocess.run(
        [sys.executable, "-c", LOOP + dedent(before) + fixes + dedent(code)],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "call",
    [
        "await asyncio.to_thread(work, 2)",
        "await anyio.to_thread.run_sync(work, 2)",
        "await anyio.to_thread.run_sync(work, 2, abandon_on_cancel=True)",
        "await run_in_threadpool(work, 2)",
        "await asyncio.wrap_future(ThreadPoolExecutor().submit(work, 2))",
        "list(ThreadPoolExecutor().map(work, [2]))[0]",
    ],
)
def test_what_would_run_in_a_thread_runs_at_once(call):
    printed = run(
        f"""
        import asyncio, threading

        def work(number):
            assert threading.current_thread() is threading.main_thread()
            return number * 21

        async def main():
            return {call}

        print(run_in_loop(main()))
        """,
        before="""
        import anyio.to_thread
        from concurrent.futures import ThreadPoolExecutor
        from starlette.concurrency import run_in_threadpool
        """,
    )

    assert printed == "42"


@pytest.mark.parametrize("call", ["asyncio.to_thread(work)", "anyio.to_thread.run_sync(work)"])
def test_others_have_a_turn_before_and_after_what_would_block_in_a_thread(call):
    printed = run(
        f"""
        import asyncio, time

        seen = []

        def work():
            seen.append("work")
            time.sleep(0.01)

        async def other():
            seen.append("before")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append("between")
            while "work" not in seen:
                await asyncio.sleep(0)
            seen.append("after")

        async def main():
            task = asyncio.create_task(other())
            await {call}
            seen.append("returned")
            await task
            print(*seen)

        run_in_loop(main())
        """,
        before="import anyio.to_thread",
    )

    assert printed == "before between work after returned"


@pytest.mark.parametrize(
    "call", ["await asyncio.to_thread(work)", "ThreadPoolExecutor().submit(work).result()"]
)
def test_what_it_raises_reaches_who_waits_for_it(call):
    printed = run(
        f"""
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        def work():
            raise ValueError("inside")

        async def main():
            try:
                {call}
            except ValueError as error:
                print(error)

        run_in_loop(main())
        """
    )

    assert printed == "inside"


def test_a_listener_of_log_records_handles_them_at_once():
    code = """
    import logging.handlers, queue
    seen, pending = [], queue.Queue()
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    listener = logging.handlers.QueueListener(pending, handler)
    listener.start()
    logging.getLogger().addHandler(logging.handlers.QueueHandler(pending))
    logging.warning("before %s", "the end")
    print(seen, pending.qsize())
    listener.stop()
    """
    assert run(code) == "['before the end'] 0"


def test_a_pool_that_was_shut_down_takes_nothing():
    printed = run(
        """
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as pool:
            pass
        try:
            pool.submit(print)
        except RuntimeError as error:
            print(error)
        """
    )

    assert printed == "cannot schedule new futures after shutdown"


def test_fastapi_serves_synchronous_code_of_every_kind():
    printed = run(
        """
        import asyncio, httpx, threading
        from fastapi import BackgroundTasks, Depends, FastAPI, UploadFile
        from fastapi.responses import FileResponse, StreamingResponse

        seen = []
        app = FastAPI()

        def resource():
            seen.append("opened")
            yield "resource"
            seen.append("closed")

        @app.get("/sync")
        def sync(held: str = Depends(resource)):
            assert threading.current_thread() is threading.main_thread()
            return held

        @app.get("/stream")
        def stream():
            return StreamingResponse(f"{n} " for n in range(3))

        @app.get("/file")
        def file():
            return FileResponse(__import__("asyncio").__file__)

        @app.post("/upload")
        def upload(file: UploadFile):
            return len(file.file.read())

        @app.get("/later")
        def later(tasks: BackgroundTasks):
            tasks.add_task(seen.append, "later")

        @app.get("/broken")
        def broken():
            raise ValueError("inside")

        async def main():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
                print((await client.get("/sync")).json())
                print((await client.get("/stream")).text)
                print((await client.get("/file")).status_code)
                big = b"x" * 3_000_000
                print((await client.post("/upload", files={"file": big})).json())
                print((await client.get("/later")).status_code)
                print((await client.get("/broken")).status_code)

        run_in_loop(main())
        print(seen, threading.active_count())
        """,
        before="import fastapi",
    )

    assert printed.splitlines() == [
        "resource",
        "0 1 2 ",
        "200",
        "3000000",
        "200",
        "500",
        "['opened', 'closed', 'later'] 1",
    ]


def test_modules_that_imported_a_function_by_name_got_the_new_one():
    printed = run(
        """
        import fastapi.routing, starlette.routing

        print(fastapi.routing.run_in_threadpool.__module__)
        print(starlette.routing.run_in_threadpool.__module__)
        """,
        before="import fastapi.routing, starlette.routing",
    )

    assert printed.splitlines() == ["par_guest.inline_calls"] * 2


def test_other_requests_run_while_a_synchronous_generator_streams():
    printed = run(
        """
        import asyncio
        from starlette.responses import StreamingResponse

        order = []

        def produce():
            for number in range(3):
                order.append(number)
                yield b"x"

        async def other():
            await asyncio.sleep(0)
            order.append("other")

        async def send(message):
            pass

        async def receive():
            await asyncio.Event().wait()

        async def main():
            scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
            await asyncio.gather(StreamingResponse(produce())(scope, receive, send), other())

        run_in_loop(main())
        print(order.index("other") < order.index(2))
        """,
        before="import starlette.responses",
    )

    assert printed == "True"


def test_a_coroutine_that_does_not_wait_runs_from_synchronous_code():
    printed = run(
        """
        import anyio.from_thread, asyncio

        async def ready():
            return 5

        async def waits():
            await asyncio.sleep(1)

        async def main():
            print(anyio.from_thread.run(ready), anyio.from_thread.run_sync(len, "ab"))
            try:
                anyio.from_thread.run(waits)
            except RuntimeError as error:
                print(error)

        run_in_loop(main())
        """,
        before="import anyio.from_thread",
    )

    assert printed.splitlines()[0] == "5 2"
    assert "make the function `async def`" in printed


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=work).start()",
        "threading.Timer(0, work).start()",
        "_thread.start_new_thread(work, ())",
    ],
)
def test_a_thread_is_refused_with_what_to_do(start):
    printed = run(
        f"""
        import _thread, threading

        def work():
            print("ran")

        try:
            {start}
        except RuntimeError as error:
            print(error)
        """
    )

    assert "there are no threads in the sandbox" in printed
    assert "ran" not in printed


def test_outside_the_sandbox_a_thread_runs():
    printed = run(
        """
        import threading
        from par_guest import platform_fixes

        platform_fixes.apply()
        thread = threading.Thread(target=print, args=("ran",))
        thread.start()
        thread.join()
        """,
        fixes="",
    )

    assert printed == "ran"


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run(['ffmpeg', '-i'])",
        "subprocess.check_output('ffmpeg -i', shell=True)",
        "os.system('ffmpeg -i')",
        "os.popen('ffmpeg -i')",
        "run_in_loop(asyncio.create_subprocess_exec('ffmpeg', '-i'))",
        "run_in_loop(asyncio.create_subprocess_shell('ffmpeg -i'))",
        "multiprocessing.Process(target=ffmpeg).start()",
    ],
)
def test_a_process_is_refused_by_name(start):
    printed = run(
        f"""
        import asyncio, multiprocessing, os, subprocess

        def ffmpeg():
            pass

        try:
            {start}
        except PermissionError as error:
            print(error.strerror)
        """
    )

    assert printed == "the sandbox starts no processes, so `ffmpeg` was not run"


def test_outside_the_sandbox_a_process_runs():
    printed = run(
        """
        import subprocess, sys

        print(subprocess.check_output([sys.executable, "-c", "print(3)"], text=True))
        """,
        fixes="",
    )

    assert printed == "3"
