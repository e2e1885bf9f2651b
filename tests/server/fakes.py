"""Stand-ins for the rings below the HTTP side: calls that only remember what was done to them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from vivavoz.call.listing import Listing
from vivavoz.call.registry import AtCapacity
from vivavoz.call.stages import JobKind
from vivavoz.cluster.directory import Directory, LocalDirectory
from vivavoz.config import Config, Secrets
from vivavoz.engines.ports import EngineError, EngineStatus
from vivavoz.media.ports import MediaError
from vivavoz.server.app import build_app
from vivavoz.server.auth import Authenticator
from vivavoz.server.engine_pool import EnginePool
from vivavoz.server.entra import EntraTokens
from vivavoz.server.protocol import JsonRunner
from vivavoz.server.sealing import Sealer
from vivavoz.server.service import Service
from vivavoz.server.store import MemoryStore
from vivavoz.server.tokens import Tokens
from vivavoz.wire.extensions import Observing
from vivavoz.wire.grants import Filter, Grant
from vivavoz.wire.options import SessionPatch
from vivavoz.wire.rest import CallEntry
from vivavoz.wire.server_events import Error, ErrorEvent

KEY = "test-key-123"
OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
ANSWER = "v=0\r\nanswer\r\n"


def an_event(text: str, event_id: str = "event_1") -> ErrorEvent:
    """Some server event that carries ``text``."""
    return ErrorEvent(
        event_id=event_id, error=Error(type="t", code=None, message=text, param=None, event_id=None)
    )


class FakeAttachment:
    """Echoes what it receives as an event; the word ``stop`` closes with 1001."""

    def __init__(self, call: FakeCall, transport: Any) -> None:
        self.call = call
        self.transport = transport
        self.call_id = call.id
        self.got: list[str | bytes] = []
        self.is_ready = False
        self.was_lost: str | None = None

    def ready(self) -> None:
        self.is_ready = True
        if self.transport.kind == "websocket":
            self.transport.send(an_event("hello"))

    def received(self, data: str | bytes) -> None:
        assert self.is_ready
        self.got.append(data)
        if data == "stop":
            self.transport.close(1001, "Your session hit the maximum duration of 60 minutes.")
        else:
            self.transport.send(an_event(f"{type(data).__name__}:{len(data)}"))

    def refused(self, error: Any) -> None:
        self.transport.send(an_event(f"refused: {error.message}"))

    def audio(self, pcm: bytes) -> None: ...

    def playing(self, tag: str) -> None: ...

    def played(self, played: Any) -> None: ...

    def lost(self, reason: str) -> None:
        if self.was_lost is None:
            self.was_lost = reason
            if self.transport.kind != "sideband":
                self.call.hangup(reason)


class FakeCall:
    def __init__(
        self, tag: str, session: SessionPatch | None, model: str | None, session_id: str | None
    ) -> None:
        self.id = f"rtc_{tag}{secrets.token_hex(15)}"
        self.session = session
        self.model = model
        self.session_id = session_id or "sess_new"
        self.closed = asyncio.Event()
        self.attachments: list[FakeAttachment] = []
        self.reason: str | None = None
        self.filtered: Filter | None = None
        self.grant: Grant | None = None
        self.account = ""
        self.observing: Observing | None = None
        self.on_end: Callable[[], None] = lambda: None
        self.dialect: Any = None
        self.conversation_id = "conv_fake"

    def entry(self) -> CallEntry:
        return CallEntry(
            id=self.id,
            session_id=self.session_id,
            model=self.model or "gpt-realtime",
            started_at=1.0,
            filtered=self.filtered or "off",
            transport="webrtc" if self.filtered else "websocket",
            grant_label=self.grant.label if self.grant is not None else None,
        )

    def attach(self, transport: Any) -> FakeAttachment:
        attachment = FakeAttachment(self, transport)
        self.attachments.append(attachment)
        return attachment

    def observe(self, transport: Any, wants: Observing) -> FakeAttachment:
        self.observing = wants
        return self.attach(transport)

    def hangup(self, reason: str) -> None:
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self.on_end()
            for attachment in self.attachments:
                attachment.transport.close(1000, reason)


class FakeCalls:
    def __init__(self, tag: str = "00", capacity: int = 100) -> None:
        self.tag = tag
        self.capacity = capacity
        self.opened: list[FakeCall] = []
        self.listing = Listing()

    def jobs(self) -> Counter[JobKind]:
        return Counter()

    def check(self, session: SessionPatch | None, model: str) -> None:
        """Anything goes."""

    def open(
        self,
        session: SessionPatch | None,
        model: str | None,
        *,
        session_id: str | None = None,
        client: str = "",
        grant: Grant | None = None,
        account: str = "",
    ) -> FakeCall:
        if len(self) >= self.capacity:
            raise AtCapacity
        self.opened.append(FakeCall(self.tag, session, model, session_id))
        self.opened[-1].grant = grant
        self.opened[-1].account = account
        self.opened[-1].on_end = self.listing.change
        self.listing.change()
        return self.opened[-1]

    def get(self, call_id: str) -> FakeCall | None:
        return next((call for call in self.opened if call.id == call_id), None)

    @property
    def version(self) -> str:
        return self.listing.version

    async def other_than(self, version: str) -> None:
        await self.listing.other_than(version)

    def entries(self) -> list[CallEntry]:
        return [call.entry() for call in self.opened if not call.closed.is_set()]

    def __len__(self) -> int:
        return sum(not call.closed.is_set() for call in self.opened)


class FakeEngines:
    """``gate`` set: loading until it is released. ``failure`` set: cannot be loaded."""

    vad: Any = None
    turn = stt = llm = tts = speech_to_speech = None

    def __init__(self, gate: asyncio.Event | None = None, failure: str | None = None) -> None:
        self.gate = gate
        self.failure = failure
        self.stopped = False

    def for_call(self) -> FakeEngines:
        return self

    async def start(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise EngineError(self.failure)

    async def stop(self) -> None:
        self.stopped = True

    def status(self) -> list[EngineStatus]:
        return [EngineStatus(task="llm", name="fake", state="ready")]


def accept(offer: str, call: Any, filtered: Filter, dialect: Any = None) -> str:
    if "broken" in offer:
        raise MediaError("The offer has no audio section.")
    if "explode" in offer:
        raise RuntimeError("our own bug, with a secret in it")
    call.filtered = filtered
    call.dialect = dialect
    return ANSWER


class Running:
    """One worker's HTTP side, on loopback."""

    def __init__(self, service: Service, calls: FakeCalls, url: str, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.calls = calls
        self.url = url
        self.http = http

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])


def make_service(
    config: Config,
    *,
    keys: tuple[str, ...] = (KEY,),
    calls: FakeCalls | None = None,
    engines: FakeEngines | None = None,
    directory: Directory | None = None,
    secrets_: Secrets | None = None,
    entra: EntraTokens | None = None,
) -> Service:
    sealer = Sealer(keys or ("installation secret",), "client secrets", stretch=2)
    tokens = Tokens(sealer, MemoryStore())
    return Service(
        config=config,
        auth=Authenticator(keys, tokens, entra=entra, strict_azure=config.server.strict_azure),
        tokens=tokens,
        engines=EnginePool(config, {config.default_engines: engines or FakeEngines()}),
        calls=FakeCalls() if calls is None else calls,
        accept=accept,
        directory=directory or LocalDirectory(),
    )


@contextlib.asynccontextmanager
async def running(
    config: Config | None = None, *, socket: Path | None = None, extra: Any = (), **options: Any
) -> AsyncIterator[Running]:
    calls = options.setdefault("calls", FakeCalls())
    service = make_service(config or Config(default_engines="scripted"), **options)
    runner = JsonRunner(build_app(service, extra), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    if socket is not None:
        await web.UnixSite(runner, str(socket)).start()
    port = runner.addresses[0][1]
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(service.engines.run())
        try:
            async with aiohttp.ClientSession() as http:
                yield Running(service, calls, f"http://127.0.0.1:{port}", http)
        finally:
            loading.cancel()
            await runner.cleanup()
