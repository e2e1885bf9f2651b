"""A small OpenAI-compatible server on loopback that answers as each test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeOpenAI:
    """Set ``chat``, ``transcribe`` or ``speak`` to a handler. ``requests`` holds what came: JSON bodies, or
    form fields. ``hung_up`` is set when a client went away in the middle of :meth:`slow` answers."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.chat: Handler | None = None
        self.transcribe: Handler | None = None
        self.speak: Handler | None = None
        self.models: Any = {"object": "list", "data": []}
        self.hung_up = asyncio.Event()
        self.started = asyncio.Event()
        self.url = ""
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeOpenAI]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/audio/speech", self._speech)
        app.router.add_post("/v1/audio/transcriptions", self._form)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._json(request, self.chat)

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        return await self._json(request, self.speak)

    async def _json(self, request: web.Request, handler: Handler | None) -> web.StreamResponse:
        self.requests.append(await request.json())
        return await self._answer(request, handler)

    async def _form(self, request: web.Request) -> web.StreamResponse:
        fields: dict[str, Any] = {}
        for name, value in (await request.post()).items():
            fields[name] = value.file.read() if isinstance(value, web.FileField) else value
        self.requests.append(fields)
        return await self._answer(request, self.transcribe)

    async def _answer(self, request: web.Request, handler: Handler | None) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if handler is None:
            raise web.HTTPNotFound
        return await handler(request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        return web.json_response(self.models)

    # ----------------------------------------------------------------- handlers

    def failing(self, status: int, message: str = "no") -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return web.json_response({"error": {"message": message, "type": "x"}}, status=status)

        return handler

    def chunks(self, *chunks: dict[str, Any] | str, done: bool = True) -> Handler:
        """Server-sent events: chunks as objects, or as raw text."""

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for chunk in chunks:
                data = chunk if isinstance(chunk, str) else json.dumps(chunk)
                await response.write(f"data: {data}\n\n".encode())
            if done:
                await response.write(b"data: [DONE]\n\n")
            return response

        return handler

    def slow(self, first: bytes, content_type: str) -> Handler:
        """Sends ``first`` and then nothing more, until the client goes away."""

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": content_type})
            await response.prepare(request)
            await response.write(first)
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.hung_up.set()
            return response

        return handler

    def silent(self) -> Handler:
        """Takes the request and never answers."""

        async def handler(request: web.Request) -> web.StreamResponse:
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.hung_up.set()
            raise web.HTTPInternalServerError

        return handler

    def sound(self, *pieces: bytes, content_type: str = "audio/pcm") -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": content_type})
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
            return response

        return handler

    def broken_off(self, first: bytes, content_type: str) -> Handler:
        """Sends ``first`` of a longer body, and drops the connection."""

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": "100000"})
            await response.prepare(request)
            await response.write(first)
            assert request.transport is not None
            request.transport.close()
            return response

        return handler


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a chat completion."""
    body: dict[str, Any] = {} if content is None else {"content": content}
    body.update(more)
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": body, "finish_reason": finish}],
    }


def usage(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }
