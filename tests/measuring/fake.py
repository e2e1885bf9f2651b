"""An endpoint that speaks the Realtime API over a WebSocket, as badly as it is told to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from vivavoz.engines.scripted.voice import say


@dataclass
class Fake:
    """``key``: who shows another is refused, by a message that repeats what was shown. ``calls``: the status
    of offers, whose bodies are ``answer``. ``audio``: whether answers sound. ``mute``: nothing is ever said
    over a WebSocket. ``hang``: HTTP is never answered. ``malformed``: messages that are no events, and events
    without their members. ``yields``: speech_started tells of who interrupts. ``words``: of an answer, two a
    second; ``greets_words``: of what it says before it is asked."""

    key: str | None = None
    calls: int = 404
    answer: str = ""
    audio: bool = True
    mute: bool = False
    hang: bool = False
    malformed: bool = False
    yields: bool = True
    words: int = 6
    greets_words: int = 0
    hangs_up_at_speech: bool = False
    url: str = ""
    authorizations: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[Fake]:
        app = web.Application()
        for base in ("/v1", "/openai/v1"):
            app.router.add_post(f"{base}/realtime/calls", self._calls)
            app.router.add_post(f"{base}/realtime/client_secrets", self._secret)
            app.router.add_get(f"{base}/realtime", self._realtime)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _enter(self, request: web.Request) -> web.Response | None:
        self.paths.append(request.path)
        shown = request.headers.get("api-key") or request.headers.get("Authorization", "")
        self.authorizations.append(shown)
        if self.hang:
            await asyncio.sleep(3600)
        if self.key is not None and self.key not in shown:
            error = {"error": {"message": f"Incorrect API key provided: {shown}", "code": "invalid_api_key"}}
            return web.json_response(error, status=401)
        return None

    async def _calls(self, request: web.Request) -> web.Response:
        if refused := await self._enter(request):
            return refused
        if self.calls == 201:
            return web.Response(status=201, text=self.answer)
        return web.json_response({"error": {"message": "no such thing"}}, status=self.calls)

    async def _secret(self, request: web.Request) -> web.Response:
        return await self._enter(request) or web.json_response({"value": "ek_for_one_call"})

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        if refused := await self._enter(request):
            return refused
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if not self.mute:
            await _Session(self, socket).run()
        async for _ in socket:
            pass
        return socket


class _Session:
    """Takes any sound for speech, and 200 ms of silence for its end."""

    def __init__(self, fake: Fake, socket: web.WebSocketResponse) -> None:
        self._fake = fake
        self._socket = socket
        self._silent = 0
        self._speaking = False
        self._number = 0

    async def run(self) -> None:
        await self._tell("session.created", session={"type": "realtime"})
        if self._fake.greets_words:
            await self._respond(self._fake.greets_words)
        if self._fake.malformed:
            await self._socket.send_str("not JSON")
            await self._socket.send_str("[1]")
            await self._tell("conversation.item.added", item=7)
            await self._tell("made.up\x1b[31m")
        async for message in self._socket:
            await self._hear(json.loads(message.data))

    async def _hear(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                await self._tell("session.updated", session=event["session"])
            case "conversation.item.create":
                await self._tell("conversation.item.added", previous_item_id=None, item={"id": "item_1"})
            case "response.create":
                await self._respond()
            case "input_audio_buffer.append":
                await self._listen(base64.b64decode(event["audio"]))

    async def _listen(self, pcm: bytes) -> None:
        self._silent = 0 if any(pcm) else self._silent + 1
        if not self._silent and not self._speaking:
            self._speaking = True
            if self._fake.hangs_up_at_speech:
                await self._socket.close(code=1011)
                return
            if self._fake.yields:
                await self._tell("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_2")
        elif self._speaking and self._silent == 10:
            self._speaking = False
            await self._tell("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="item_2")
            await self._respond()

    async def _respond(self, words: int | None = None) -> None:
        self._number += 1
        response = f"resp_{self._number}"
        await self._tell("response.created", response={"id": response})
        for _ in range(self._fake.words if words is None else words):
            if self._fake.audio:
                sound = base64.b64encode(say("seven", "alloy", 0.8)).decode()
                await self._tell("response.output_audio.delta", response_id=response, delta=sound)
        await self._tell("response.done", response={"id": response, "status": "completed"})

    async def _tell(self, kind: str, **members: Any) -> None:
        await self._socket.send_str(json.dumps({"type": kind, "event_id": "event_1", **members}))
