"""Action handlers in the style of the first runtime: an object that carries them."""

import asyncio
from concurrent import futures  # noqa: F401 - as agents of that time did

import grpc  # noqa: F401 - the runtime has the server


class ExampleService:
    def __init__(self):
        self.custom_handlers = {
            "process_data": self.process_data,
            "get_status": self.get_status,
            "calculate": self.calculate,
        }

    async def process_data(self, parameters):
        await asyncio.sleep(0)
        return {"processed": True, "data": parameters.get("data", "")}

    async def get_status(self, parameters):
        return {"status": "running", "version": "0.1.0"}

    async def calculate(self, parameters):
        a, b = float(parameters["a"]), float(parameters["b"])
        if parameters.get("operation", "add") == "add":
            return a + b
        raise ValueError(f"Unknown operation: {parameters['operation']}")


def create_grpc_server():
    return ExampleService()
