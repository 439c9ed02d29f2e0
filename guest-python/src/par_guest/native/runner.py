"""The life of one process of an agent: load, start, serve, stop."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import socket
import sys
from typing import Any

from par_guest import a2a_http, actions, logs, rest, wsgi
from par_guest.context import current_call
from par_guest.lifespan import Lifespan
from par_guest.loading import LoadFailure, use_python_path
from par_guest.native import http, sockets, threads
from par_guest.native.channel import Channel
from par_guest.native.frames import A2A, UI, Kind

#: The descriptor of the socket to the host; `host/src/native/launch.rs` says so.
MESSAGES = 3

#: The descriptor over which connections are asked for.
OUTBOUND = 4

#: `prctl`: whether other processes of the user may look into this one. Not kept by `exec`.
PR_SET_DUMPABLE = 4

# As in the sandbox: what was loaded is frozen out of every collection.
GC_THRESHOLD = 20_000


class Agent:
    """What loading made of the package."""

    def __init__(self) -> None:
        #: By the flag of a request.
        self.surfaces: dict[int, rest.Served | None] = {0: None, UI: None, A2A: None}
        self.actions = actions.Actions()
        self.lifespans: list[Lifespan] = []

    def load(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Imports what the manifest names; returns the description for the host."""
        paths = spec["python_path"]
        use_python_path(paths)
        # After the standard library, as in any venv: nothing installed may take its names.
        sys.path.extend(spec["site_packages"])
        warnings: list[str] = []
        if entry := spec["rest"]:
            find = rest.mount if spec["mount"] else rest.application
            self._serve(0, find(entry, paths))
        if entry := spec["ui"]:
            self._serve(UI, rest.application(entry, paths))
        if a2a := spec["a2a"]:
            self._serve(A2A, a2a_http.load(a2a["entry"], a2a["port"], spec["card"], paths))
        if entry := spec["actions"]:
            self.actions = actions.load(entry, paths)
            warnings.extend(self.actions.warnings)
        return {
            "rest": self._kind(0),
            "ui": self._kind(UI),
            "a2a": self._kind(A2A),
            "actions": self.actions.names,
            "modules": len(sys.modules),
            "warnings": warnings,
        }

    def _serve(self, surface: int, served: rest.Served) -> None:
        # One application may serve several surfaces; it is started and stopped once.
        others = [other for other in self.surfaces.values() if other is not None]
        if not any(other.asgi is served.asgi for other in others):
            self.lifespans.append(served.lifespan)
        self.surfaces[surface] = served

    def _kind(self, surface: int) -> str:
        served = self.surfaces[surface]
        return served.kind if served is not None else ""


class Server:
    """Serves an agent that was loaded, on the running loop."""

    def __init__(self, channel: Channel, agent: Agent) -> None:
        self._channel = channel
        self._agent = agent
        self._loop = asyncio.get_running_loop()
        self._begin = http.start(self._loop)
        self._calls: dict[int, http.HttpCall] = {}
        #: Tasks of calls; the loop itself holds them weakly.
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped = self._loop.create_future()

    async def serve(self, description: dict[str, Any]) -> None:
        """Starts the agent and serves it until the host says stop, or is gone."""
        await self._channel.attach(self.receive)
        for lifespan in self._agent.lifespans:
            try:
                await lifespan.startup()
            except LoadFailure as error:
                self._channel.send_json(Kind.REFUSED, refusal(error))
                return
            except BaseException as error:
                self._channel.send_json(Kind.REFUSED, http.failure("startup-failed", error))
                return
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        self._channel.send_json(Kind.LOADED, description)
        await asyncio.wait(
            [self._stopped, self._channel.closed], return_when=asyncio.FIRST_COMPLETED
        )

    def receive(self, kind: int, call: int, payload: bytes) -> None:
        """Takes one frame of the host."""
        if kind == Kind.HTTP:
            self._http(call, payload)
            return
        if kind == Kind.ACTION:
            self._start(call, self._act(call, json.loads(payload)))
        elif kind == Kind.PING:
            self._channel.send(Kind.PONG, call)
        elif kind == Kind.STOP:
            self._tasks[0] = self._loop.create_task(self._stop())
        elif kind == Kind.GONE and call not in self._calls:
            # An action, as far as it still runs.
            if task := self._tasks.get(call):
                task.cancel()
        elif running := self._calls.get(call):
            if kind == Kind.BODY:
                running.took_body(payload)
            elif kind in (Kind.BODY_END, Kind.BODY_BROKEN):
                running.ended_body(broken=kind == Kind.BODY_BROKEN)
            elif kind == Kind.CREDIT:
                running.credit(int.from_bytes(payload, "big"))
            elif kind == Kind.GONE:
                running.gone()

    def _http(self, call: int, payload: bytes) -> None:
        served = self._agent.surfaces[http.surface_of(payload)]
        if served is None:
            entry = {
                "reason": "protocol",
                "message": "the agent has no such surface",
                "traceback": "",
            }
            self._channel.send_json(Kind.FAILED, entry, call)
            return
        running = http.HttpCall(self._channel, call, payload, served.asgi, served.lifespan.state)
        self._calls[call] = running
        self._start(call, running.run())

    def _start(self, call: int, coroutine: Any) -> None:
        task = self._begin(coroutine)
        if task.done():
            self._calls.pop(call, None)
            return
        self._tasks[call] = task
        task.add_done_callback(lambda _: self._ended(call))

    def _ended(self, call: int) -> None:
        self._calls.pop(call, None)
        self._tasks.pop(call, None)

    async def _act(self, call: int, request: dict[str, Any]) -> None:
        current_call.set(call)
        try:
            parameters = request["parameters"]
            if isinstance(parameters, str):
                parameters = json.loads(parameters)
            result = await self._agent.actions.invoke(request["action"], parameters)
            self._channel.send(Kind.RESULT, call, result.encode("utf-8", "surrogatepass"))
        except actions.ActionNotFound:
            entry = {"reason": "action-not-found", "message": request["action"], "traceback": ""}
            self._channel.send_json(Kind.FAILED, entry, call)
        except BaseException as error:
            self._channel.send_json(Kind.FAILED, http.failure("raised", error), call)

    async def _stop(self) -> None:
        if left := [task for call, task in self._tasks.items() if call]:
            await asyncio.wait(left)
        for lifespan in reversed(self._agent.lifespans):
            try:
                await lifespan.shutdown()
            except BaseException as error:
                http.logger.error("the agent failed to stop", exc_info=error)
        self._channel.send(Kind.STOPPED)
        self._stopped.set_result(None)


def main() -> None:
    """Serves the one agent of this process."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # Whatever the agent starts must not hold the socket open.
    os.set_inheritable(MESSAGES, False)
    os.set_inheritable(OUTBOUND, False)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    sockets.apply(OUTBOUND)
    channel = Channel(socket.socket(fileno=MESSAGES))
    _, _, payload = channel.read()
    logs.install(channel.log)
    # There are threads here: code that blocks may have one of its own.
    wsgi.as_asgi = threads.as_asgi
    agent = Agent()
    try:
        description = agent.load(json.loads(payload))
    except LoadFailure as error:
        channel.send_json(Kind.REFUSED, refusal(error))
        return
    except BaseException as error:
        channel.send_json(Kind.REFUSED, http.failure("import-failed", error))
        return
    # Not that of `uvloop`, which opens sockets itself: this process has those of `sockets` alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_serve(channel, agent, description))


async def _serve(channel: Channel, agent: Agent, description: dict[str, Any]) -> None:
    await Server(channel, agent).serve(description)


def refusal(error: LoadFailure) -> dict[str, str]:
    """Why an agent cannot be served, for the host."""
    return {"reason": error.reason, "message": error.message, "traceback": error.traceback}
