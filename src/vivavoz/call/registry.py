"""The calls alive in this worker. Owns every call's task; nothing outlives it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple

import msgspec

from vivavoz.call.call import Call
from vivavoz.call.incoming import RealtimeIncoming, TranslationIncoming
from vivavoz.call.listing import Listing
from vivavoz.call.prompts import Prompts
from vivavoz.call.rates import TokenRates
from vivavoz.call.remote_tools import RemoteTools
from vivavoz.call.settings import CallSettings
from vivavoz.call.stages import JobKind, StageListener
from vivavoz.call.tap import OpenTap, Tap
from vivavoz.call.trace import SCHEMA, AnyHead, Head, TraceWriter, TranslationHead
from vivavoz.call.translation import translation_of
from vivavoz.engines.ports import Counts, Engines, ToolServers, Window
from vivavoz.media import denoise
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.session.translation.session import TranslationSession
from vivavoz.wire.base import replace
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.grants import Grant
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import AnyPatch, SessionOptions
from vivavoz.wire.rest import CallEntry
from vivavoz.wire.translation import TranslationPatch

log = logging.getLogger("vivavoz.call")

_ID_HEX = 32

_FIXED_EXPIRY = 4_102_444_800
"""What deterministic sessions say as ``expires_at``: the year 2100, never in the past."""


class AtCapacity(Exception):
    """As many calls are alive as there may be, or the service is draining."""


class UnknownModel(Exception):
    """No engines are configured for the model."""


class _Planned(NamedTuple):
    """What a call is to be, as far as the session and the engines decide it."""

    options: SessionOptions
    engines: Engines
    settings: Settings
    tools: RemoteTools


class _New(NamedTuple):
    """A call's place in the row, and what is drawn for it."""

    number: int
    call_id: str
    seed: bytes


class CallRegistry:
    """``async with CallRegistry(...) as calls``: leaving the block ends every call."""

    def __init__(
        self,
        engines_for: Callable[[str], Engines],
        settings: CallSettings | None = None,
        worker_tag: str = "",
        open_tap: OpenTap | None = None,
        tool_servers: ToolServers | None = None,
        prompts: Prompts | None = None,
        listeners: Sequence[Callable[[str], StageListener]] = (),
    ) -> None:
        """``engines_for`` raises KeyError for an unknown model. ``worker_tag``: the first hex digits of
        every call id, so that whoever meets the id knows which worker holds the call. ``open_tap``: makes
        each call's listener. ``tool_servers``: who asks MCP servers; None: nobody.
        ``prompts``: those that clients may name. ``listeners``: each makes one who is told a call's
        stages, of its id."""
        self._engines_for = engines_for
        self._settings = settings or CallSettings()
        self._tag = worker_tag
        self._open_tap = open_tap
        self._tool_servers = tool_servers
        self._prompts = prompts or Prompts()
        self._listeners = listeners
        limit = self._settings.tokens_per_minute
        self._rates = TokenRates(limit, time.monotonic) if limit is not None else None
        self._opened = 0
        self._calls: dict[str, Call] = {}
        self._listing = Listing()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._draining = False

    async def __aenter__(self) -> CallRegistry:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    @property
    def version(self) -> str:
        """Of :meth:`entries`; it changes with them."""
        return self._listing.version

    def entries(self) -> list[CallEntry]:
        """The calls that have a client, the oldest first."""
        return [entry for call in self._calls.values() if (entry := call.entry()) is not None]

    def jobs(self) -> Counter[JobKind]:
        """Work that engines do for calls just now, or that waits for them."""
        return sum((call.stages.running for call in self), Counter())

    async def other_than(self, version: str) -> None:
        """Wait until ``version`` is not that of :meth:`entries`."""
        await self._listing.other_than(version)

    def open(
        self,
        session: AnyPatch | None,
        model: str | None,
        *,
        session_id: str | None = None,
        client: str = "",
        grant: Grant | None = None,
        account: str = "",
    ) -> Call:
        """A new call, alive at once, waiting for its first connection.

        ``model`` None: nobody has named one; the first ``session.update`` may. ``grant`` binds what its
        client may do, and how long it lasts. ``account``: whose tokens it uses. Raises :class:`AtCapacity`,
        :class:`UnknownModel`, and :class:`~vivavoz.wire.errors.ProtocolError` where the session contradicts
        itself.
        """
        self._refuse_more()
        plan = self._plan(session, model)
        duration = self._settings.session_seconds
        if grant is not None and grant.max_seconds is not None:
            duration = min(duration, grant.max_seconds)
        settings = replace(plan.settings, duration_s=duration, expires_at=self._expires_at(duration))
        new = self._new()
        core = Session(plan.options, Ids(seed=new.seed), settings, session_id=session_id)
        head = Head(
            schema=SCHEMA, seed=new.seed, session_id=session_id, options=plan.options, settings=settings
        )
        call = Call(
            new.call_id,
            core,
            plan.engines,
            self._settings,
            incoming=RealtimeIncoming(self._prompts, plan.tools),
            trace=self._trace(new.call_id, head),
            tap=self._tap(new),
            tools=plan.tools,
            grant=grant,
            changed=self._listing.change,
            rate=self._rates.of(account) if self._rates is not None else None,
        )
        self._begin(new, call, plan.options.model, client)
        return call

    def check(self, session: AnyPatch | None, model: str) -> None:
        """Whether :meth:`open` would make a session of it, now; raises as that does."""
        plan = self._plan(session, model)
        Session(plan.options, Ids(seed=b""), plan.settings)

    def _plan(self, session: AnyPatch | None, model: str | None) -> _Planned:
        tools = RemoteTools(self._tool_servers)
        options = effective_session(
            self._prompts.filled_session(tools.sealed_session(session)), model or "gpt-realtime"
        )
        try:
            engines = self._engines_for(options.model).for_call()
        except KeyError:
            raise UnknownModel(options.model) from None
        transcribes = options.type == "transcription"
        if transcribes and engines.stt is None:
            raise invalid_value(
                f"The model '{options.model}' has no recogniser of its own: it cannot transcribe.", "type"
            )
        reader = engines.speech_to_speech or engines.llm
        settings = Settings(
            plan="converse" if engines.speech_to_speech is not None and not transcribes else "cascade",
            judges_turns=engines.turn is not None,
            voices=self._settings.voices,
            reduces_noise=denoise.available(),
            logprobs=bool(getattr(engines.stt, "gives_logprobs", False)),
            reasons=bool(getattr(engines.llm, "reasons", False)),
            transcribers=self._settings.transcribers,
            rated="no" if self._rates is None else "told" if self._settings.tells_rate_limits else "silently",
            input_ms=self._settings.input_ms,
            interrupt_after_ms=self._settings.interrupt_after_ms,
            yielding=self._settings.yielding,
            model_given=model is not None,
            sees=bool(getattr(engines.llm, "sees", False)),
            counts=isinstance(reader, Counts),
            mcp=self._tool_servers is not None,
        )
        window: Window | None = getattr(reader, "window", None)
        if window is not None:
            settings = replace(settings, window=window.tokens, longest_reply=window.output)
        return _Planned(options, engines, settings, tools)

    def open_translation(
        self,
        session: TranslationPatch | None,
        model: str,
        *,
        session_id: str | None = None,
        client: str = "",
    ) -> Call:
        """A new call that translates; raises as :meth:`open` does."""
        self._refuse_more()
        try:
            engines = self._engines_for(model).for_call()
        except KeyError:
            raise UnknownModel(model) from None
        options, settings = translation_of(session, model, engines)
        duration = self._settings.session_seconds
        settings = msgspec.structs.replace(
            settings,
            duration_s=duration,
            expires_at=self._expires_at(duration),
            input_ms=self._settings.input_ms,
        )
        new = self._new()
        core = TranslationSession(options, Ids(seed=new.seed), settings, session_id=session_id)
        head = TranslationHead(
            schema=SCHEMA, seed=new.seed, session_id=session_id, options=options, settings=settings
        )
        call = Call(
            new.call_id,
            core,
            engines,
            self._settings,
            incoming=TranslationIncoming(),
            trace=self._trace(new.call_id, head),
            tap=self._tap(new),
            changed=self._listing.change,
        )
        self._begin(new, call, model, client)
        return call

    def _refuse_more(self) -> None:
        if self._draining or len(self._calls) >= self._settings.sessions:
            raise AtCapacity

    def _new(self) -> _New:
        """Of the call that may follow; without :meth:`_begin` it was none."""
        number = self._opened + 1
        fixed = self._settings.deterministic
        digits = f"{number:0{_ID_HEX - len(self._tag)}x}" if fixed else secrets.token_hex(16)
        return _New(
            number=number,
            call_id=f"rtc_{(self._tag + digits)[:_ID_HEX]}",
            seed=number.to_bytes(16, "big") if fixed else secrets.token_bytes(16),
        )

    def _begin(self, new: _New, call: Call, model: str, client: str) -> None:
        self._opened = new.number
        for made_for in self._listeners:
            call.stages.listen(made_for(call.id))
        self._calls[call.id] = call
        task = asyncio.create_task(call.run(), name=call.id)
        self._tasks[call.id] = task
        task.add_done_callback(lambda _: self._forget(call.id))
        log.info("call %s begins (%.120r%s)", call.id, model, f", {client}" if client else "")

    def _expires_at(self, seconds: float) -> int:
        return _FIXED_EXPIRY if self._settings.deterministic else int(time.time() + seconds)

    async def drain(self, timeout_s: float) -> None:
        """Take no more calls; give those alive ``timeout_s`` to end by themselves."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=timeout_s)

    async def close(self) -> None:
        """End all calls, and wait until they are gone."""
        self._draining = True
        for call in self:
            call.hangup("the service is stopping", 1001)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=10.0)
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._listing.end()

    def _forget(self, call_id: str) -> None:
        self._tasks.pop(call_id, None)
        if self._calls.pop(call_id, None) is not None:
            log.info("call %s is over", call_id)

    def _tap(self, new: _New) -> Tap | None:
        return self._open_tap(new.number, new.call_id) if self._open_tap is not None else None

    def _trace(self, call_id: str, head: AnyHead) -> TraceWriter | None:
        folder = self._settings.trace_dir
        if folder is None:
            return None
        path = folder / f"{call_id}.trace"
        try:
            if self._settings.deterministic:
                # The run before this one had a call of this name too.
                path.unlink(missing_ok=True)
            return TraceWriter(path, head, self._settings.trace_bytes)
        except OSError as error:
            log.warning("call %s is not traced: %s", call_id, error)
            return None
