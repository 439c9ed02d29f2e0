"""The actions of `just soak`."""

import asyncio


async def wait(parameters):
    await asyncio.sleep(0.01)
    return "waited"


def create_service():
    return {"custom_handlers": {"wait": wait}}
