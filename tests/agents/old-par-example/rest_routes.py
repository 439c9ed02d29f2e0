"""Routes in the style of the first runtime."""

from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class ProcessRequest(BaseModel):
    data: dict[str, Any]
    operation: str = "echo"


class CalculateRequest(BaseModel):
    a: float
    b: float
    operation: str


def mount(app: FastAPI) -> None:
    @app.get("/api/status")
    async def status():
        return {"agent": "example-agent", "status": "running", "surfaces": ["rest", "a2a", "ui"]}

    @app.post("/api/process")
    async def process(request: ProcessRequest):
        if request.operation == "echo":
            return {"result": request.data}
        if request.operation == "keys":
            return {"result": sorted(request.data)}
        raise HTTPException(status_code=400, detail=f"Unknown operation: {request.operation}")

    @app.post("/api/calculate")
    async def calculate(request: CalculateRequest):
        if request.operation == "add":
            return {"result": request.a + request.b}
        if request.operation == "multiply":
            return {"result": request.a * request.b}
        if request.operation == "divide":
            if request.b == 0:
                raise HTTPException(status_code=400, detail="Division by zero")
            return {"result": request.a / request.b}
        raise HTTPException(status_code=400, detail=f"Unknown operation: {request.operation}")

    @app.get("/api/health")
    async def health():
        return {"healthy": True}
