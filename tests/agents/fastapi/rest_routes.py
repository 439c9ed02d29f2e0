"""The REST surface: `mount` is called once, with a FastAPI app."""

import asyncio
import json

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from text_tools import summarise


class Text(BaseModel):
    """The body of `POST /api/summary`; anything else is answered with 422."""

    text: str = Field(max_length=10_000)
    longest: int = Field(default=10, ge=1, le=100)


class Summary(BaseModel):
    """What comes back."""

    words: int
    characters: int
    summary: str


def mount(app: FastAPI) -> None:
    """Adds the routes of this agent."""

    @app.get("/api/ping")
    async def ping() -> dict[str, str]:
        return {"message": "pong"}

    @app.post("/api/summary")
    async def summary(body: Text) -> Summary:
        if not body.text.strip():
            raise HTTPException(status_code=400, detail="there is no text to summarise")
        return Summary.model_validate(summarise(body.text, body.longest))

    @app.get("/api/words")
    async def words(text: str, request: Request) -> StreamingResponse:
        """Server-sent events: one word at a time, until the reader leaves."""

        async def events():
            for number, word in enumerate(text.split()):
                if await request.is_disconnected():
                    return
                yield f"id: {number}\ndata: {json.dumps(word)}\n\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(events(), media_type="text/event-stream")
