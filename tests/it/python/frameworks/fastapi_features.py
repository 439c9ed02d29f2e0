"""What FastAPI applications do beyond answering: each feature once, as its manual shows it."""

import asyncio
import contextvars
import time
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, Header, HTTPException, Request, UploadFile
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

events = []
tenant = contextvars.ContextVar("tenant", default="nobody")
wanted = asyncio.Event()


@asynccontextmanager
async def lifespan(app):
    await asyncio.sleep(0.001)
    app.state.started = True
    yield {"shared": ["from the lifespan"]}
    print("the lifespan has ended")


app = FastAPI(lifespan=lifespan)
app.add_middleware(GZipMiddleware, minimum_size=1000)


class Teapot(Exception):
    pass


@app.exception_handler(Teapot)
async def teapot(request, error):
    return JSONResponse({"error": str(error)}, status_code=418)


@app.middleware("http")
async def stamp(request, call_next):
    token = tenant.set(request.headers.get("x-tenant", "nobody"))
    started = time.monotonic()
    try:
        response = await call_next(request)
    finally:
        tenant.reset(token)
    response.headers["x-seconds"] = f"{time.monotonic() - started:.3f}"
    return response


@app.get("/lifespan")
def of_lifespan(request: Request):
    return [request.app.state.started, request.state.shared]


async def opened():
    events.append("opened")
    try:
        yield "resource"
    finally:
        events.append("closed")


def who(found: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]):
    if found.credentials != "right":
        raise HTTPException(403, "wrong token")
    return found.credentials


@app.get("/dependencies")
async def dependencies(
    resource: Annotated[str, Depends(opened)], token: Annotated[str, Depends(who)], x_page: Annotated[int, Header()] = 1
):
    return {"resource": resource, "token": token, "page": x_page}


@app.get("/events")
def of_events():
    return events


@app.post("/background")
async def background(tasks: BackgroundTasks):
    async def later():
        await asyncio.sleep(0.01)
        events.append("background")
        wanted.set()

    tasks.add_task(later)
    tasks.add_task(events.append, "synchronous background")
    return {"accepted": True}


@app.get("/wait")
async def wait():
    """Waits for what another request does."""
    async with asyncio.timeout(20):
        await wanted.wait()
    return events


@app.get("/teapot")
async def raises():
    raise Teapot("short and stout")


@app.get("/tenant")
async def of_tenant():
    await asyncio.sleep(0.005)
    return tenant.get()


@app.get("/large")
def large():
    return {"text": "x" * 5000}


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()], second: Annotated[bytes, File()]):
    head = await file.read(4)
    await file.seek(0)
    size = len(await file.read())
    return {"name": file.filename, "type": file.content_type, "head": head.decode(), "size": size, "note": note,
            "second": len(second)}


@app.get("/stream")
def stream():
    def pieces():
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(pieces(), media_type="text/plain")


class Item(BaseModel):
    name: str
    price: float = 1.0


@app.put("/items/{item_id}", response_model=Item, status_code=201)
def put(item_id: int, item: Item, q: str | None = None):
    return {"name": f"{item.name} {item_id} {q}", "price": item.price, "secret": "left out"}


@app.get("/group")
async def group():
    """Structured concurrency: a task group, a timeout, a cancellation, a queue."""
    queue = asyncio.Queue(1)
    cancelled = []

    async def produce():
        for number in range(3):
            await queue.put(number)

    async def consume():
        return [await queue.get() for _ in range(3)]

    async def endless():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        got = tasks.create_task(consume())
    forever = asyncio.create_task(endless())
    try:
        await asyncio.wait_for(forever, 0.01)
    except TimeoutError:
        cancelled.append("timed out")
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(endless())
            tasks.create_task(asyncio.sleep(0)).add_done_callback(lambda _: None)
            await asyncio.sleep(0)
            raise ValueError("inside")
    except* ValueError:
        cancelled.append("group")
    return [got.result(), cancelled]
