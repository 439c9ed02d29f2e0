"""Action handlers of every kind."""

import asyncio
import logging

log = logging.getLogger("service")
released: dict[str, asyncio.Event] = {}


class Point:
    def __str__(self):
        return "Point(1, 2)"


async def mapping(parameters):
    await asyncio.sleep(0)
    return {"a": 1, "b": [None, True, 1.5], "c": "it's"}


def mapping_without_waiting(parameters):
    return {"a": 1, "b": [None, True, 1.5], "c": "it's"}


def nothing(parameters):
    return None


def raw(parameters):
    return b"xy"


def text(parameters):
    return "plain \u00fcml\u00e4ut \U0001f40d"


def point(parameters):
    return Point()


def reported(parameters):
    return {"success": False, "error": "of the agent's own"}


def parameters_of(parameters):
    kind = type(parameters).__name__
    return f"{kind} {sorted(parameters.items())}"


async def key(parameters):
    return parameters["missing"]


def fails(parameters):
    raise ValueError("it went wrong")


def leaves(parameters):
    raise SystemExit(3)


async def hold(parameters):
    log.info("holding %s", parameters["name"])
    await released.setdefault(parameters["name"], asyncio.Event()).wait()
    return "released"


def release(parameters):
    released.setdefault(parameters["name"], asyncio.Event()).set()


async def wait_and_tell(parameters):
    log.info("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        log.info("cancelled %s", parameters["name"])


def spin(parameters):
    log.info("spinning")
    while True:
        pass


def create_service():
    handlers = (
        mapping, mapping_without_waiting, nothing, raw, text, point, reported, key, fails,
        leaves, hold, release, spin, wait_and_tell,
    )
    named = {handler.__name__: handler for handler in handlers}
    return {"custom_handlers": {**named, "parameters": parameters_of}}
