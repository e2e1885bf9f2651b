"""A Realtime service made of sidebands only: a test says what its calls do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from vivavoz.app.observer.ports import CallInfo, CallState
from vivavoz.app.upstream.port import Abilities, CallGone, LiveCall, UpstreamError

HOSTED = Abilities(filter=True)
OURS = Abilities(filter=True, roles=True, replay=True, audio=True, stages=True, lists_calls=True)


class Call:
    """``got``: what observers sent. ``answer`` makes server events of a client event."""

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.events: list[dict[str, Any]] = []
        self.got: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        self.sockets: set[web.WebSocketResponse] = set()
        self.forgets = False
        self.answer: Any = lambda event: []

    async def tell(self, *events: dict[str, Any]) -> None:
        for event in events:
            numbered = {"event_id": f"event_{self.id}_{len(self.events)}", **event}
            self.events.append(numbered)
            for socket in list(self.sockets):
                with contextlib.suppress(ConnectionError):
                    await socket.send_str(msgspec.json.encode(numbered).decode())

    async def sound(self, frame: bytes) -> None:
        for socket in self.sockets:
            await socket.send_bytes(frame)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.got if event["type"] == kind]


class Service:
    """An :class:`~vivavoz.app.upstream.port.Upstream`, and the service behind it."""

    name = "fake"
    browser_url = ""

    def __init__(self, abilities: Abilities) -> None:
        self.abilities = abilities
        self.calls: dict[str, Call] = {}
        self.refusal: UpstreamError | None = None
        self.attempts = 0
        self.listed: list[LiveCall] = []
        self.cursor = 0
        self.relisted = asyncio.Event()
        self._server: TestServer | None = None
        self._http: aiohttp.ClientSession | None = None

    def call(self, call_id: str = "rtc_1") -> Call:
        self.calls[call_id] = Call(call_id)
        return self.calls[call_id]

    async def end(self, call: Call, code: int = 1000, reason: bytes = b"") -> None:
        self.calls.pop(call.id, None)
        for socket in list(call.sockets):
            await socket.close(code=code, message=reason)

    def vanish(self, call: Call) -> None:
        """It is gone, and nobody says so."""
        self.calls.pop(call.id, None)

    def cut(self, call: Call) -> None:
        """The network breaks."""
        for socket in list(call.sockets):
            request = socket._req
            assert request is not None
            assert request.transport is not None
            request.transport.abort()

    def list(self, *calls: LiveCall) -> None:
        self.listed = list(calls)
        self.cursor += 1
        self.relisted.set()

    # ------------------------------------------------------------------------------------ the upstream

    async def observe(
        self,
        call_id: str,
        *,
        role: str = "control",
        after: str | None = None,
        audio: bool = False,
        extras: tuple[str, ...] = (),
    ) -> aiohttp.ClientWebSocketResponse:
        self.attempts += 1
        if self.refusal is not None:
            raise self.refusal
        assert self._http is not None
        assert self._server is not None
        params = {"call_id": call_id, "role": role, "audio": str(audio), "extras": ",".join(extras)}
        if after is not None:
            params["after"] = after
        try:
            return await self._http.ws_connect(self._server.make_url("/"), params=params, max_msg_size=2**24)
        except aiohttp.WSServerHandshakeError:
            # It refuses nothing but calls that it does not know.
            raise CallGone from None
        except aiohttp.ClientError:
            raise UpstreamError(502, "The service broke off.", "upstream_broke_off") from None

    async def hangup(self, call_id: str) -> None:
        if call_id in self.calls:
            await self.end(self.calls[call_id])

    async def live_calls(self, cursor: str | None, wait_s: float) -> tuple[list[LiveCall], str]:
        while cursor == str(self.cursor):
            await self.relisted.wait()
            self.relisted.clear()
        return self.listed, str(self.cursor)

    async def mint(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def connect(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    # ------------------------------------------------------------------------------------ the service

    async def _sideband(self, request: web.Request) -> web.StreamResponse:
        call = self.calls.get(request.query["call_id"])
        if call is None:
            raise web.HTTPNotFound
        call.asked.append(dict(request.query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.abilities.replay and (after := request.query.get("after")):
            await self._replay(call, socket, after)
        call.sockets.add(socket)
        try:
            async for message in socket:
                event = msgspec.json.decode(message.data)
                call.got.append(event)
                await call.tell(*call.answer(event))
        finally:
            call.sockets.discard(socket)
        return socket

    async def _replay(self, call: Call, socket: web.WebSocketResponse, after: str) -> None:
        ids = [event["event_id"] for event in call.events]
        known = after == "start" or after in ids
        first = ids.index(after) + 1 if after in ids else 0
        for event in call.events[first:]:
            await socket.send_str(msgspec.json.encode(event).decode())
        told = {"type": "vivavoz.replayed", "count": len(ids) - first, "complete": known and not call.forgets}
        await socket.send_str(msgspec.json.encode(told).decode())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        app = web.Application()
        app.router.add_get("/", self._sideband)
        self._server = TestServer(app)
        async with self._server, aiohttp.ClientSession() as self._http:
            yield self


class Heard:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.opened_calls: list[CallInfo] = []
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.sound: list[tuple[str, str, int, bytes]] = []
        self.gaps: list[tuple[str, float, float, str]] = []
        self.closed_calls: list[tuple[str, str, CallState]] = []
        self.breaks_on: str | None = None

    def opened(self, info: CallInfo) -> None:
        self.opened_calls.append(info)

    def event(self, call_id: str, at: float, sender: str, event: bytes) -> None:
        read = msgspec.json.decode(event)
        if read["type"] == self.breaks_on:
            self.breaks_on = None
            raise RuntimeError("a bug")
        self.events.append((call_id, sender, read))

    def audio(self, call_id: str, track: str, position: int, pcm: bytes) -> None:
        self.sound.append((call_id, track, position, pcm))

    def gap(self, call_id: str, since: float, until: float, reason: str) -> None:
        self.gaps.append((call_id, since, until, reason))

    def closed(self, call_id: str, at: float, reason: str, state: CallState) -> None:
        self.closed_calls.append((call_id, reason, state))

    def types(self, sender: str = "server") -> list[str]:
        return [event["type"] for _, who, event in self.events if who == sender]
