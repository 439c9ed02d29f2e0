"""Asks a model, checks what it says with pydantic, and sends it on to its own caller as it comes.

One endpoint for each client and way to use it; each is what the client's manual shows.
"""

import asyncio
import json
import os
import uuid

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI()
INSTANCE = uuid.uuid4().hex
QUESTION = [{"role": "user", "content": "Say three words."}]


class Word(BaseModel):
    """What leaves the agent."""

    text: str = Field(pattern=r"^word\d $")
    number: int = Field(ge=0, le=2)


def event(number, text):
    return f"data: {Word(text=text, number=number).model_dump_json()}\n\n"


def streamed(words):
    return StreamingResponse(words, media_type="text/event-stream")


@app.get("/instance")
async def instance():
    """Tells instances apart."""
    return INSTANCE


@app.get("/openai/async")
async def openai_async():
    from openai import AsyncOpenAI

    async def words():
        async with AsyncOpenAI() as client:
            stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True)
            number = 0
            async for chunk in stream:
                if text := chunk.choices[0].delta.content:
                    yield event(number, text)
                    number += 1

    return streamed(words())


@app.get("/openai/sync")
def openai_sync():
    from openai import OpenAI

    def words():
        with OpenAI() as client:
            stream = client.chat.completions.create(model="m", messages=QUESTION, stream=True)
            texts = (chunk.choices[0].delta.content for chunk in stream)
            for number, text in enumerate(filter(None, texts)):
                yield event(number, text)

    return streamed(words())


@app.get("/anthropic/async")
async def anthropic_async():
    from anthropic import AsyncAnthropic

    async def words():
        number = 0
        async with (
            AsyncAnthropic() as client,
            client.messages.stream(model="m", messages=QUESTION, max_tokens=10) as stream,
        ):
            async for text in stream.text_stream:
                yield event(number, text)
                number += 1
            assert (await stream.get_final_message()).stop_reason == "end_turn"

    return streamed(words())


@app.get("/anthropic/sync")
def anthropic_sync():
    from anthropic import Anthropic

    def words():
        client = Anthropic()
        with client.messages.stream(model="m", messages=QUESTION, max_tokens=10) as stream:
            for number, text in enumerate(stream.text_stream):
                yield event(number, text)

    return streamed(words())


URL = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
HEADERS = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
BODY = {"model": "m", "messages": QUESTION, "stream": True}


def text_of(line):
    """The text in one line of the stream, if it has one."""
    data = line.removeprefix("data: ")
    if data == line or data == "[DONE]":
        return None
    return json.loads(data)["choices"][0]["delta"].get("content")


@app.get("/httpx/async")
async def httpx_async():
    import httpx

    async def words():
        async with (
            httpx.AsyncClient() as client,
            client.stream("POST", URL, json=BODY, headers=HEADERS) as response,
        ):
            number = 0
            async for line in response.aiter_lines():
                if text := text_of(line):
                    yield event(number, text)
                    number += 1

    return streamed(words())


@app.get("/httpx/sync")
def httpx_sync():
    import httpx

    def words():
        with httpx.stream("POST", URL, json=BODY, headers=HEADERS) as response:
            for number, text in enumerate(filter(None, map(text_of, response.iter_lines()))):
                yield event(number, text)

    return streamed(words())


@app.get("/requests/sync")
def requests_sync():
    import requests

    def words():
        with requests.post(URL, json=BODY, headers=HEADERS, stream=True, timeout=30) as response:
            lines = response.iter_lines(decode_unicode=True)
            for number, text in enumerate(filter(None, map(text_of, lines))):
                yield event(number, text)

    return streamed(words())


@app.get("/requests/async")
async def requests_async():
    """`requests` in an `async` endpoint, each of its steps in what would be a thread."""
    import requests

    async def words():
        ask = requests.post
        response = await asyncio.to_thread(ask, URL, json=BODY, headers=HEADERS, stream=True, timeout=30)
        lines, number = response.iter_lines(decode_unicode=True), 0
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            if text := text_of(line):
                yield event(number, text)
                number += 1

    return streamed(words())


@app.get("/aiohttp/async")
async def aiohttp_async():
    import aiohttp

    async def words():
        number = 0
        async with (
            aiohttp.ClientSession() as session,
            session.post(URL, json=BODY, headers=HEADERS) as response,
        ):
            async for line in response.content:
                if text := text_of(line.decode().strip()):
                    yield event(number, text)
                    number += 1

    return streamed(words())
