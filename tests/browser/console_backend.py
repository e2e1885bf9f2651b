"""The application's back end, made of plain data: for states of the console that are hard to make for real.

It speaks the HTTP API of the application and nothing of the Realtime protocol. Tests say what there is and
what happens; it remembers what the page asked for. Calls themselves are left to the real service.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
import time
import wave
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from vivavoz.app.page import page_routes

Json = dict[str, Any]
BEGAN = time.time() - 75
"""When every call here began: Unix seconds."""


def app_info(**members: Any) -> Json:
    """What ``GET /api/app`` says of an application in front of our own service, to an operator."""
    return {
        "user": {"name": "local", "operator": True},
        "key_required": False,
        "login": None,
        "upstream": {"name": "vivavoz", "abilities": {"filter": True}, "browser_url": "/v1/realtime/calls"},
        "tokens": True,
        "profiles": [{"name": "default", "title": "Front desk"}, {"name": "pt", "title": "Recepção"}],
        "default_profile": "default",
        "filter": "on",
        "browser_reads_session": {"token": False, "connect": False},
        "notice": None,
        "recordings": True,
        "budgets": {},
        "engines": None,
        **members,
    }


def call_state(call_id: str = "rtc_1", **members: Any) -> Json:
    return {
        "id": call_id,
        "profile": "default",
        "user": "maria",
        "origin": "token",
        "upstream": "vivavoz",
        "status": "live",
        "observer": "attached",
        "started_at": BEGAN,
        "ended_at": None,
        "filtered": "on",
        "turns": 0,
        "last_words": "",
        "recorded": False,
        "end_reason": None,
        "browser_reads_session": False,
        "session": None,
        "transcript": [],
        "tools": [],
        "usage": {},
        "turns_log": [],
        "errors": [],
        "gaps": [],
        "recording": None,
        **members,
    }


def line(item_id: str, role: str, text: str, at: float = 0.0, **members: Any) -> Json:
    kind = members.pop("kind", "message")
    heard = members.pop("heard", None)
    status = members.pop("status", "completed")
    return {
        "item_id": item_id,
        "role": role,
        "kind": kind,
        "text": text,
        "heard": heard,
        "heard_ms": None,
        "status": status,
        "at": BEGAN + at,
        "until": None,
        "final": True,
        **members,
    }


def entry(n: int, event: Json, *, seen: bool = False, sender: str = "server", at: float = 0.0) -> Json:
    return {"n": n, "at": BEGAN + at, "sender": sender, "seen": seen, "event": event}


def two_voices(seconds: int) -> bytes:
    """A WAV file: the caller left, in the first half; the assistant right, in the second."""
    rate = 8_000
    at = np.arange(seconds * rate)
    tone = (8_000 * np.sin(at * 2 * np.pi * 220 / rate)).astype("<i2")
    both = np.zeros((len(at), 2), dtype="<i2")
    half = len(at) // 2
    both[:half, 0], both[half:, 1] = tone[:half], tone[half:]
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(2)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(both.tobytes())
    return file.getvalue()


class Backend:
    """What there is. Change it through its methods: they may be called from the test's own thread."""

    def __init__(self) -> None:
        self.info = app_info()
        self.key: str | None = None
        self.calls: dict[str, Json] = {}
        self.entries: dict[str, list[Json]] = {}
        self.refuse: dict[str, tuple[int, Json]] = {}
        """Path to the status and error that answer it."""
        self.profiles: list[Json] = []
        self.recordings: dict[str, Json] = {}
        self.audio = b""
        self.sent: list[Json] = []
        """Client events that came over a watch."""
        self.hung_up: list[str] = []
        self.deleted: list[str] = []
        self.url = ""
        self._lists: set[web.WebSocketResponse] = set()
        self._watchers: dict[str, set[web.WebSocketResponse]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    # ------------------------------------------------------------------------------------ what happens

    def call(self, state: Json, entries: list[Json] | None = None) -> None:
        """A call is there, or has changed."""
        self.calls[state["id"]] = state
        self.entries.setdefault(state["id"], [])
        if entries is not None:
            self.entries[state["id"]] = entries
        self._soon(lambda: self._state(state["id"]))

    def happens(self, call_id: str, *entries: Json) -> None:
        self.entries[call_id] += entries
        self._soon(lambda: self._tell(call_id, *({"kind": "event", "entry": each} for each in entries)))

    def ends(self, call_id: str, reason: str) -> None:
        self.calls[call_id] |= {"status": "ended", "ended_at": BEGAN + 60, "end_reason": reason}
        self._soon(lambda: self._tell(call_id, {"kind": "ended", "reason": reason}))
        self._soon(self._list)

    def drop_everybody(self) -> None:
        """As when the application's process dies."""
        self._soon(self._drop)

    # ------------------------------------------------------------------------------------ to the watchers

    def _soon(self, act: Callable[[], Awaitable[None]]) -> None:
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)  # type: ignore[arg-type]

    async def _drop(self) -> None:
        for socket in [*self._lists, *(each for group in self._watchers.values() for each in group)]:
            await socket.close(code=1011)

    async def _list(self) -> None:
        for socket in list(self._lists):
            await socket.send_json({"kind": "calls", "calls": list(self.calls.values())})

    async def _state(self, call_id: str) -> None:
        await self._list()
        await self._tell(call_id, {"kind": "state", "call": self.calls[call_id]})

    async def _tell(self, call_id: str, *messages: Json) -> None:
        for socket in list(self._watchers.get(call_id, ())):
            for message in messages:
                await socket.send_json(message)

    # ------------------------------------------------------------------------------------ HTTP

    def routes(self) -> list[web.RouteDef]:
        return [
            *page_routes(),
            web.get("/api/app", self._info),
            web.get("/api/profiles", self._profiles),
            web.get("/api/watch", self._watch_all),
            web.get("/api/calls/{id}", self._call),
            web.get("/api/calls/{id}/watch", self._watch),
            web.post("/api/calls/{id}/hangup", self._hang_up),
            web.get("/api/recordings", self._recordings),
            web.get("/api/recordings/{id}", self._recording),
            web.delete("/api/recordings/{id}", self._delete),
            web.get("/api/recordings/{id}/{part}", self._part),
        ]

    @web.middleware
    async def gate(self, request: web.Request, handler: Callable[..., Awaitable[Any]]) -> Any:
        if request.path in self.refuse:
            status, error = self.refuse[request.path]
            return web.json_response({"error": error}, status=status)
        if self.key is not None and request.path.startswith("/api/") and request.path != "/api/app":
            shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
            offered = request.headers.get("Sec-WebSocket-Protocol", "")
            if shown != self.key and f"vivavoz-key.{self.key}" not in offered:
                return web.json_response({"error": {"message": "No.", "code": "key_required"}}, status=401)
        return await handler(request)

    async def _info(self, request: web.Request) -> web.Response:
        if self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}":
            return await _json(self.info)
        return await _json({**self.info, "user": None, "key_required": True, "profiles": []})

    async def _profiles(self, request: web.Request) -> web.Response:
        return await _json({"profiles": self.profiles})

    async def _call(self, request: web.Request) -> web.Response:
        state = self.calls.get(request.match_info["id"])
        if state is None:
            raise _missing("There is no such call.")
        return await _json(state)

    async def _watch_all(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("vivavoz",))
        await socket.prepare(request)
        self._lists.add(socket)
        await socket.send_json({"kind": "calls", "calls": list(self.calls.values())})
        async for _ in socket:
            pass
        self._lists.discard(socket)
        return socket

    async def _watch(self, request: web.Request) -> web.WebSocketResponse:
        call_id = request.match_info["id"]
        if call_id not in self.calls:
            raise _missing("There is no such call.")
        socket = web.WebSocketResponse(protocols=("vivavoz",))
        await socket.prepare(request)
        entries = self.entries[call_id]
        await socket.send_json({"kind": "snapshot", "call": self.calls[call_id], "entries": entries})
        self._watchers.setdefault(call_id, set()).add(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.sent.append(json.loads(message.data)["event"])
        self._watchers[call_id].discard(socket)
        return socket

    async def _hang_up(self, request: web.Request) -> web.Response:
        self.hung_up.append(request.match_info["id"])
        return web.Response(status=204)

    async def _recordings(self, request: web.Request) -> web.Response:
        query = request.query.get("query", "").lower()
        found = [each for each in self.recordings.values() if query in json.dumps(each).lower()]
        return await _json({"recordings": found, "next": None, "problem": None})

    async def _recording(self, request: web.Request) -> web.Response:
        if (found := self.recordings.get(request.match_info["id"])) is None:
            raise _missing("There is no such recording.")
        return await _json(found)

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["id"])
        del self.recordings[request.match_info["id"]]
        return web.Response(status=204)

    def _sound(self, request: web.Request) -> web.Response:
        wanted, size = request.http_range, len(self.audio)
        first, last = wanted.start or 0, min(wanted.stop or size, size) - 1
        headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {first}-{last}/{size}"}
        piece = self.audio[first : last + 1]
        status = 206 if "Range" in request.headers else 200
        return web.Response(body=piece, status=status, headers=headers, content_type="audio/wav")

    async def _part(self, request: web.Request) -> web.Response:
        recording, part = self.recordings[request.match_info["id"]], request.match_info["part"]
        if part == "audio":
            return self._sound(request)
        if part == "peaks":
            return await _json(recording["peaks"])
        if part == "events":
            lines = "".join(json.dumps(each) + "\n" for each in recording["events"])
            return web.Response(text=lines, content_type="application/jsonl")
        headers = {"Content-Disposition": f'attachment; filename="{recording["id"]}.tar"'}
        return web.Response(body=b"everything", headers=headers)


async def _json(value: Any) -> web.Response:
    return web.json_response(value)


def _missing(message: str) -> web.HTTPNotFound:
    body = json.dumps({"error": {"message": message, "code": "not_found"}})
    return web.HTTPNotFound(text=body, content_type="application/json")


@contextlib.contextmanager
def console_backend() -> Iterator[Backend]:
    """Serve until the block ends, on a loopback port of its own."""
    backend = Backend()
    ready = threading.Event()
    over = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application(middlewares=[backend.gate])
        app.add_routes(backend.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        backend.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        backend._loop = loop
        ready.set()
        await over.wait()
        backend._loop = None
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10), "the back end did not start"
        yield backend
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
