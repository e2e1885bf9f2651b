"""``Call``: one session with its transports and engines, and the loop that carries out its effects."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from vivavoz.call.alarm import Alarm
from vivavoz.call.connections import Connections, Handle
from vivavoz.call.core import Core
from vivavoz.call.hearing import Hearing
from vivavoz.call.inbox import Inbox, Message, Sound, Waiting
from vivavoz.call.incoming import Incoming, RealtimeIncoming, sound_of, with_sound
from vivavoz.call.jobs import JobRunner
from vivavoz.call.loudspeaker import Loudspeaker
from vivavoz.call.noise import NoiseReducer
from vivavoz.call.observers import Observers
from vivavoz.call.preparing import Preparing
from vivavoz.call.rates import TokenRate
from vivavoz.call.remote_tools import RemoteTools
from vivavoz.call.rights import EVERYTHING, GrantedRights
from vivavoz.call.settings import CallSettings
from vivavoz.call.speculation import Speculation
from vivavoz.call.tap import Tap
from vivavoz.call.trace import TraceWriter
from vivavoz.call.watching import StageWatch
from vivavoz.engines.ports import Engines
from vivavoz.session import effects
from vivavoz.session.effects import Effect
from vivavoz.session.inputs import (
    AudioReceived,
    Flushed,
    Held,
    Input,
    ItemPlayed,
    JobFailed,
    Spent,
    TimePassed,
)
from vivavoz.session.translation.inputs import AnyInput
from vivavoz.transports.port import Attachment, ObserverTransport, Transport
from vivavoz.wire.extensions import Observing
from vivavoz.wire.grants import Grant
from vivavoz.wire.rest import CallEntry

log = logging.getLogger("vivavoz.call")

CLOSE_NORMAL = 1000
CLOSE_INTERNAL_ERROR = 1011


class Call:
    """Made and run by the registry. Everything that happens to it goes through one bounded inbox and is
    handled in order by one task; its jobs are the only other tasks."""

    def __init__(
        self,
        call_id: str,
        session: Core,
        engines: Engines,
        settings: CallSettings,
        *,
        incoming: Incoming | None = None,
        trace: TraceWriter | None = None,
        tap: Tap | None = None,
        tools: RemoteTools | None = None,
        grant: Grant | None = None,
        changed: Callable[[], None] = lambda: None,
        rate: TokenRate | None = None,
    ) -> None:
        """``incoming``: what this kind of session is told. ``changed`` is told when what :meth:`entry` says
        has changed. ``rate``: the tokens it may use."""
        self.id = call_id
        self.session_id = session.id
        self.conversation_id = session.conversation_id
        self.closed = asyncio.Event()
        self.inbox = Inbox(settings.inbox_messages, settings.inbox_bytes)
        self.stages = StageWatch()
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._loudspeaker = Loudspeaker()
        self._observers = Observers(
            settings.replay_bytes, self.stages, self._loudspeaker, self._clock, self._clock()
        )
        rights = GrantedRights(grant) if grant is not None else EVERYTHING
        self._connections = Connections(self._observers, self._loudspeaker, rights, tap)
        self._session = session
        self._engines = engines
        self._settings = settings
        self._trace = trace
        self._tap = tap
        self._tools = tools or RemoteTools()
        self._incoming = incoming or RealtimeIncoming(tools=self._tools)
        self._hearing = Hearing(engines.vad, self._clock)
        self._noise = NoiseReducer()
        self._grant = grant
        self._changed = changed
        self._rate = rate
        self._began = time.time()
        self._over: tuple[int, str] | None = None
        self._alarm = Alarm(self._time_is_up)
        self._stop = asyncio.Event()
        self._jobs: JobRunner | None = None
        self._preparing: Preparing | None = None

    # ---------------------------------------------------------------------------- for transports

    def attach(self, transport: Transport) -> Attachment:
        """Join the client's connection to the call, or an observer that asks for nothing. One that comes too
        late is closed at once."""
        handle = self._connections.handle(self, transport)
        if self._too_late(transport):
            return handle
        if transport.kind == "webrtc" and self._settings.reject_echo:
            self._loudspeaker.listen("echo", self._hearing.reject_echo())
        self._connections.join(handle)
        if handle is self._connections.client:
            self._changed()
        return handle

    def observe(self, transport: ObserverTransport, wants: Observing) -> Attachment:
        """Join an observer's connection to the call."""
        handle = self._connections.handle(self, transport, wants)
        if not self._too_late(transport):
            self._connections.join_observer(handle, transport, wants)
        return handle

    def _too_late(self, transport: Transport) -> bool:
        if self._over is not None:
            transport.close(CLOSE_NORMAL, "The call has ended.")
        return self._over is not None

    def entry(self) -> CallEntry | None:
        """What a list of calls says of it; None without a client."""
        client = self._connections.client
        if client is None or self._over is not None:
            return None
        transport = client.transport
        return CallEntry(
            id=self.id,
            session_id=self.session_id,
            model=self._session.options.model,
            started_at=round(self._began, 3),
            filtered=transport.filter,
            transport="webrtc" if transport.kind == "webrtc" else "websocket",
            grant_label=self._grant.label if self._grant is not None else None,
        )

    def detached(self, handle: Handle, reason: str) -> None:
        self._connections.leave(handle, reason)
        if handle is self._connections.client:
            self.hangup(f"the client is gone: {reason}")

    def tell(self, input: AnyInput) -> None:
        """Something happened that must not be lost."""
        if self._over is None:
            self.inbox.force(input)

    def hangup(self, reason: str, code: int = CLOSE_NORMAL) -> None:
        """End the call. Idempotent."""
        if self._over is None:
            self._over = (code, reason)
            self._stop.set()
            self._changed()

    # ---------------------------------------------------------------------------- its life

    async def run(self) -> None:
        """Live until hung up. Returns when everything of the call is gone; raises nothing."""
        patience = asyncio.get_running_loop().call_later(self._settings.connect_seconds, self._nobody_came)
        try:
            async with asyncio.TaskGroup() as group:
                speculation = Speculation(self._engines, group, self._settings.speculate)
                self._jobs = JobRunner(
                    self._engines,
                    group,
                    self._told,
                    self._pace,
                    self._settings.engine_seconds,
                    self._tools,
                    speculation,
                )
                loop = group.create_task(self._handle_all(), name=f"{self.id}-inbox")
                self._preparing = Preparing(self._engines, group, speculation)
                self._preparing.follow(self._session.options)
                await self._stop.wait()
                loop.cancel()
                self._preparing.cancel()
                self._jobs.cancel_all()
        except Exception:
            log.exception("call %s broke", self.id)
            self.hangup("internal error", CLOSE_INTERNAL_ERROR)
        finally:
            patience.cancel()
            self._end()

    def _end(self) -> None:
        code, reason = self._over or (CLOSE_INTERNAL_ERROR, "internal error")
        self._over = (code, reason)
        self.stages.closed(self._clock())
        self._connections.close(code, reason)
        self._alarm.cancel()
        if self._trace is not None:
            self._trace.close()
        if self._tap is not None:
            self._tap.closed(code)
        self.closed.set()

    def _time_is_up(self) -> None:
        self.tell(TimePassed())

    def _nobody_came(self) -> None:
        if self._connections.count == 0:
            self.hangup("nobody connected")

    # ---------------------------------------------------------------------------- what happens

    async def _handle_all(self) -> None:
        while True:
            await self._handle(await self.inbox.take())

    async def _handle(self, waiting: Waiting) -> None:
        match waiting:
            case Message():
                if self._tap is not None:
                    self._tap.received(waiting.sender, waiting.data)
                said = self._incoming.read(waiting, self._session.options)
                input = self._connections.permitted(said, waiting.rights)
                if (pcm := sound_of(input)) is not None:
                    input = with_sound(input, await self._heard(pcm))
                await self._take(input)
            case Sound():
                await self._take(AudioReceived(pcm=await self._heard(waiting.pcm)))
            case _:
                await self._take(waiting)

    async def _heard(self, pcm: bytes) -> bytes:
        """The caller's sound: observers hear it as it came, the session without noise where it says so."""
        self._observers.caller(pcm)
        return await self._noise.hear(pcm, self._session.options.audio.input.noise_reduction)

    async def _take(self, input: AnyInput) -> None:
        """One input and what follows from it at once (scores of its sound, the answer to a flush)."""
        inputs = deque([input])
        while inputs:
            now = self._clock()
            following = inputs.popleft()
            if self._trace is not None:
                self._trace.step(now, following)
            done = self._session.step(now, following)
            self.stages.step(now, following, done, self._session.voiced)
            for effect in done:
                match effect:
                    case effects.Score():
                        inputs.extend(await self._hearing.score(effect))
                    case effects.Flush():
                        played = self._connections.flush()
                        told = [ItemPlayed(item_id=each.tag, samples=each.samples) for each in played]
                        inputs.append(Flushed(played=told))
                    case effects.Hold():
                        self._connections.hold()
                        inputs.append(Held(left_ms=self._connections.queued_ms))
                    case effects.Spend():
                        inputs.appendleft(self._spend(effect.tokens))
                    case _:
                        self._do(effect)
        self._alarm.set(self._session.deadline)
        if self._preparing is not None:
            self._preparing.follow(self._session.options)

    def _do(self, effect: Effect) -> None:
        jobs = self._jobs
        assert jobs is not None
        match effect:
            case effects.Send():
                self._connections.send(effect)
            case effects.StartJob():
                self._start(jobs, effect)
            case effects.Prepare():
                if self._preparing is not None:
                    self._preparing.prepare(effect, spent=self._refusal() is not None)
            case effects.Discard():
                if self._preparing is not None:
                    self._preparing.discard()
            case effects.FeedAudio():
                jobs.feed(effect.job, effect.pcm)
            case effects.FeedText():
                jobs.feed(effect.job, effect.text)
            case effects.FinishJob():
                jobs.finish(effect.job)
            case effects.CancelJob():
                jobs.cancel(effect.job)
            case effects.EndAudio():
                self._connections.end_audio(effect.item_id)
            case effects.Release():
                self._connections.release()
            case effects.HangUp():
                self.hangup(effect.reason, effect.code)

    def _start(self, jobs: JobRunner, effect: effects.StartJob) -> None:
        thinks = isinstance(effect.task, effects.Reply | effects.Converse)
        refusal = self._refusal() if thinks else None
        if refusal is None:
            jobs.start(effect.job, effect.task, effect.owner)
        else:
            self.tell(JobFailed(job=effect.job, code="rate_limit_exceeded", message=refusal))

    def _refusal(self) -> str | None:
        """Why the model may not be asked."""
        return self._rate.refusal() if self._rate is not None else None

    def _spend(self, tokens: int) -> Input:
        assert self._rate is not None
        return Spent(**self._rate.spend(tokens)._asdict())

    # ---------------------------------------------------------------------------- for jobs

    async def _told(self, input: Input) -> None:
        """A job's result. A job can wait, so it does while the inbox is full."""
        await self.inbox.room()
        self.tell(input)

    async def _pace(self) -> None:
        """Wait while more sound is queued than the caller needs."""
        while (ahead_ms := self._connections.queued_ms - self._settings.playout_ms) > 0:  # noqa: ASYNC110 - a clock's
            await asyncio.sleep(ahead_ms / 1000)


__all__ = ["Call"]
