"""``/api/calls…`` and ``/api/watch``: what operators see of calls and do to them (docs/observer.md)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aiohttp
import msgspec
from aiohttp import web

from vivavoz.app.bodies import read_body
from vivavoz.app.errors import AppError
from vivavoz.app.observer.observer import Observer
from vivavoz.app.observer.observers import Observers
from vivavoz.app.observer.ports import CallInfo, WatchRole
from vivavoz.app.observer.steering import MAX_EVENT_BYTES, allowed, checked, role_of
from vivavoz.app.observer.watching import Watch, Watches

MAX_ENTRIES = 500
"""Of a snapshot, and of a page of the log."""
STATE_PAUSE_S = 0.2
"""At least this lies between two states that one watcher is sent."""
BYTES_PER_S = 2_000_000
"""Larger states are sent less often."""
SUBPROTOCOL = "vivavoz"
_SEND_S = 10.0

MAX_ADOPTING = 8
"""Calls that are looked for at the same time, because somebody names them."""

Adopting = Callable[[str, str | None, str], CallInfo]
"""``(call id, profile, who asks)``. Raises AppError for an unknown profile."""


class Users(Protocol):
    """Who may call, and who may see and steer calls. Both raise AppError (401, 403)."""

    def identify(self, request: web.Request) -> Any:
        """With ``name`` and ``operator``."""

    def operator(self, request: web.Request) -> Any: ...


class _Adopt(msgspec.Struct, forbid_unknown_fields=True):
    call_id: str
    profile: str | None = None


class Routes:
    """``adopting`` makes the info of a call that an operator names."""

    def __init__(self, observers: Observers, users: Users, adopting: Adopting) -> None:
        self._observers = observers
        self._users = users
        self._looking = 0
        self._adopting = adopting
        self._strict = observers.keeping.upstream.abilities.roles
        self._listed = observers.keeping.upstream.abilities.lists_calls

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/calls", self.calls),
            web.post("/api/calls", self.adopt),
            web.get("/api/calls/{id}", self.call),
            web.post("/api/calls/{id}/events", self.events),
            web.post("/api/calls/{id}/hangup", self.hangup),
            web.get("/api/calls/{id}/log", self.log),
            web.get("/api/calls/{id}/watch", self.watch_call, allow_head=False),
            web.get("/api/watch", self.watch_calls, allow_head=False),
        ]

    # ------------------------------------------------------------------------------------ REST

    async def calls(self, request: web.Request) -> web.Response:
        self._users.operator(request)
        return _json(b'{"calls":' + self._observers.summaries() + b"}")

    async def adopt(self, request: web.Request) -> web.Response:
        """Also for callers: of a call that began with a token, a hosted service tells nobody but its browser.
        Only who knows the id can name it, and it is told nothing of the call. Where the service lists its
        calls it says itself whose they are, and under which profile: callers make no call theirs there."""
        user = self._users.identify(request)
        try:
            asked = msgspec.json.decode(await read_body(request), type=_Adopt)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise AppError(400, f"Expected {{call_id, profile?}}: {error}", "invalid_value") from None
        if self._listed and not user.operator:
            return _json(msgspec.json.encode({"id": self._observers.get(asked.call_id).info.call_id}), 201)
        if self._looking >= MAX_ADOPTING:
            raise AppError(429, "Too many calls are being looked for.", "rate_limit_exceeded", None, 1.0)
        self._looking += 1
        try:
            info = self._adopting(asked.call_id, asked.profile, user.name)
            observer = await self._observers.adopt(info, counted=not user.operator)
        finally:
            self._looking -= 1
        return _json(
            msgspec.json.encode(observer.state if user.operator else {"id": observer.info.call_id}), 201
        )

    async def call(self, request: web.Request) -> web.Response:
        return _json(msgspec.json.encode(self._observer(request).state))

    async def events(self, request: web.Request) -> web.Response:
        observer = self._observer(request)
        event_id = observer.send(checked(await read_body(request), strict=self._strict))
        return _json(msgspec.json.encode({"event_id": event_id}), 202)

    async def hangup(self, request: web.Request) -> web.Response:
        await self._observer(request).hangup()
        return web.Response(status=204)

    async def log(self, request: web.Request) -> web.Response:
        observer = self._observer(request)
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 16):
            raise AppError(400, "Expected the number of an entry.", "invalid_value", "after")
        entries = observer.log.after(int(after), MAX_ENTRIES)
        return _json(msgspec.json.encode({"entries": entries}))

    def _observer(self, request: web.Request) -> Observer:
        self._users.operator(request)
        return self._observers.get(request.match_info["id"])

    # ------------------------------------------------------------------------------------ WebSockets

    async def watch_calls(self, request: web.Request) -> web.StreamResponse:
        self._users.operator(request)
        watches = self._observers.watches

        def rows() -> bytes:
            return b'{"kind":"calls","calls":' + self._observers.summaries() + b"}"

        async def nothing(_: bytes) -> None:
            raise AppError(403, "Nothing can be sent here.", "role_may_not")

        return await _Feed(watches, rows, nothing).serve(request, [rows()])

    async def watch_call(self, request: web.Request) -> web.StreamResponse:
        observer = self._observer(request)
        role = role_of(request.query.get("role"))
        # One step: no event can come between the snapshot and the first that is watched.
        snapshot = {
            "kind": "snapshot",
            "call": observer.state,
            "entries": observer.log.latest(MAX_ENTRIES),
        }

        def state() -> bytes:
            return msgspec.json.encode({"kind": "state", "call": observer.state})

        async def send(data: bytes) -> None:
            observer.send(self._steering(role, data))

        def ended() -> bytes:
            reason = observer.state.end_reason or "the observer failed"
            return msgspec.json.encode({"kind": "ended", "reason": reason})

        feed = _Feed(observer.watches, state, send, ended, over=lambda: not observer.live)
        return await feed.serve(request, [msgspec.json.encode(snapshot)])

    def _steering(self, role: WatchRole, data: bytes) -> dict[str, Any]:
        try:
            event = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("event")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            event = None
        if event is None:
            raise AppError(400, 'Expected {"event": {…}}.', "invalid_event", "event")
        read = checked(bytes(event), strict=self._strict)
        allowed(role, read)
        return read


class _Feed:
    """One WebSocket: frames as they come, and a state at most every STATE_PAUSE_S."""

    def __init__(
        self,
        watches: Watches,
        state: Callable[[], bytes],
        received: Callable[[bytes], Awaitable[None]],
        ended: Callable[[], bytes] | None = None,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._watches = watches
        self._state = state
        self._received = received
        self._ended = ended
        self._over = over
        self._watch = Watch(self._drop)
        self._transport: asyncio.Transport | None = None
        self._socket = web.WebSocketResponse(
            heartbeat=20.0, max_msg_size=MAX_EVENT_BYTES + 1024, protocols=(SUBPROTOCOL,)
        )

    async def serve(self, request: web.Request, first: list[bytes]) -> web.StreamResponse:
        """``first`` is sent before anything else."""
        if self._watches.full:
            raise AppError(503, "Too many people watch.", "at_capacity", None, 5.0)
        version = self._watches.version
        self._watches.add(self._watch)
        if self._over():
            self._watch.end()
        try:
            await self._socket.prepare(request)
            self._transport = request.transport
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read())
                await self._write(first, version)
                reading.cancel()
        finally:
            self._watches.remove(self._watch)
            with contextlib.suppress(OSError, RuntimeError, TimeoutError):
                async with asyncio.timeout(_SEND_S):
                    await self._socket.close()
        return self._socket

    def _drop(self) -> None:
        """What reads nothing would not read a goodbye either."""
        if self._transport is not None:
            self._transport.abort()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                try:
                    await self._received(message.data.encode("utf-8", "surrogatepass"))
                except AppError as error:
                    refused = msgspec.json.decode(error.body())["error"]
                    self._watch.put(msgspec.json.encode({"kind": "refused", "error": refused}))
        self._watch.end()

    async def _write(self, first: list[bytes], version: int) -> None:
        """Until there is nothing more."""
        ready_at = 0.0
        try:
            for frame in first:
                await self._send(frame)
            while True:
                for frame in self._watch.frames():
                    await self._send(frame)
                if self._watch.dropped:
                    return
                over = self._watch.over
                wait = ready_at - time.monotonic()
                if version != self._watches.version and (wait <= 0 or over):
                    version = self._watches.version
                    state = self._state()
                    await self._send(state)
                    ready_at = time.monotonic() + max(STATE_PAUSE_S, len(state) / BYTES_PER_S)
                if over:
                    if self._ended is not None and self._over():
                        await self._send(self._ended())
                    return
                await self._watch.news(wait if version != self._watches.version else None)
        except TimeoutError:
            self._drop()
        except (OSError, RuntimeError, aiohttp.ClientError):
            return

    async def _send(self, frame: bytes) -> None:
        async with asyncio.timeout(_SEND_S):
            await self._socket.send_frame(frame, aiohttp.WSMsgType.TEXT)


def _json(body: bytes, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
