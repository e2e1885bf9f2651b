"""``Call``: one session with its transports and engines, and the loop that carries out its effects."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

import msgspec

from vivavoz.call.alarm import Alarm
from vivavoz.call.core import Core
from vivavoz.call.hearing import Hearing
from vivavoz.call.inbox import Inbox, Message, Sound, Waiting
from vivavoz.call.jobs import JobRunner
from vivavoz.call.loudspeaker import Loudspeaker
from vivavoz.call.noise import NoiseReducer
from vivavoz.call.observers import Observers
from vivavoz.call.preparing import Preparing
from vivavoz.call.privacy import Privacy
from vivavoz.call.prompts import Prompts
from vivavoz.call.rates import TokenRate
from vivavoz.call.remote_tools import RemoteTools
from vivavoz.call.rights import EVERYTHING, GrantedRights, Rights, RoleRights
from vivavoz.call.settings import CallSettings
from vivavoz.call.sound import InputDecoder
from vivavoz.call.tap import Tap
from vivavoz.call.trace import TraceWriter
from vivavoz.call.watching import StageWatch
from vivavoz.engines.ports import Engines
from vivavoz.media.ports import Played
from vivavoz.session import effects
from vivavoz.session.effects import Effect
from vivavoz.session.inputs import (
    Attached,
    AudioReceived,
    Flushed,
    Input,
    ItemPlayed,
    JobFailed,
    PlaybackEnded,
    PlaybackStarted,
    Received,
    Refused,
    Spent,
    TimePassed,
)
from vivavoz.session.translation.inputs import AnyInput, Asked
from vivavoz.transports.port import Attachment, ObserverTransport, Transport
from vivavoz.wire.client_events import InputAudioBufferAppend
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.extensions import Observing
from vivavoz.wire.grants import Grant
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.rest import CallEntry
from vivavoz.wire.server_events import OutputAudioDelta
from vivavoz.wire.translation import (
    SPOKEN_TAG,
    AnyServerEvent,
    TranslatedAudioDelta,
    TranslationAudioAppend,
)

log = logging.getLogger("vivavoz.call")

_SOUND = (InputAudioBufferAppend, TranslationAudioAppend)

CLOSE_NORMAL = 1000
CLOSE_INTERNAL_ERROR = 1011
CLOSE_TRY_AGAIN = 1013


class Handle:
    """One transport's handle on its call."""

    def __init__(self, call: Call, transport: Transport, name: str, rights: Rights) -> None:
        self.transport = transport
        self.name = name
        self._rights = rights
        self._call = call
        self._gone = False

    @property
    def call_id(self) -> str:
        return self._call.id

    def ready(self) -> None:
        self._call.tell(Attached(sender=self.name, kind=self.transport.kind))

    def received(self, data: str | bytes) -> None:
        if not self._gone and not self._call.inbox.put(Message(self.name, data, self._rights)):
            self.transport.close(CLOSE_TRY_AGAIN, "Too many events are waiting to be handled.")

    def refused(self, error: ProtocolError) -> None:
        if not self._gone and not self._call.inbox.put(refusal(error, self.name)):
            self.transport.close(CLOSE_TRY_AGAIN, "Too many events are waiting to be handled.")

    def audio(self, pcm: bytes) -> None:
        if not self._gone and not self._call.inbox.put(Sound(pcm)):
            self.transport.close(CLOSE_TRY_AGAIN, "Too much sound is waiting to be handled.")

    def playing(self, tag: str) -> None:
        self._call.tell(PlaybackStarted(item_id=tag))

    def played(self, played: Played) -> None:
        self._call.tell(PlaybackEnded(item_id=played.tag))

    def lost(self, reason: str) -> None:
        if not self._gone:
            self._gone = True
            self._call.detached(self, reason)


class Call:
    """Made and run by the registry. Everything that happens to it goes through one bounded inbox and is
    handled in order by one task; its jobs are the only other tasks."""

    def __init__(
        self,
        call_id: str,
        session: Core,
        engines: Engines,
        settings: CallSettings,
        trace: TraceWriter | None = None,
        tap: Tap | None = None,
        tools: RemoteTools | None = None,
        prompts: Prompts | None = None,
        grant: Grant | None = None,
        changed: Callable[[], None] = lambda: None,
        rate: TokenRate | None = None,
    ) -> None:
        """``changed`` is told when what :meth:`entry` says has changed. ``rate``: the tokens it may use."""
        self.id = call_id
        self.session_id = session.id
        self.conversation_id = session.conversation_id
        self.closed = asyncio.Event()
        self.inbox = Inbox(settings.inbox_messages, settings.inbox_bytes)
        self.stages = StageWatch()
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._loudspeaker = Loudspeaker()
        self.observers = Observers(
            settings.replay_bytes, self.stages, self._loudspeaker, self._clock, self._clock()
        )
        self._session = session
        self._engines = engines
        self._settings = settings
        self._trace = trace
        self._tap = tap
        self._tools = tools or RemoteTools()
        self._prompts = prompts or Prompts()
        self._hearing = Hearing(engines.vad, self._clock)
        self._decoder = InputDecoder()
        self._noise = NoiseReducer()
        self._attached: dict[str, Handle] = {}
        self._count = 0
        self._grant = grant
        self._privacy = Privacy()
        self._rights: Rights = GrantedRights(grant) if grant is not None else EVERYTHING
        self._changed = changed
        self._rate = rate
        self._began = time.time()
        self._main: Handle | None = None
        self._over: tuple[int, str] | None = None
        self._alarm = Alarm(self._time_is_up)
        self._stop = asyncio.Event()
        self._jobs: JobRunner | None = None
        self._preparing: Preparing | None = None

    # ---------------------------------------------------------------------------- for transports

    def attach(self, transport: Transport) -> Attachment:
        """Join the client's connection to the call, or an observer that asks for nothing. One that comes too
        late is closed at once."""
        attached = self._attach(transport, EVERYTHING if transport.kind == "sideband" else self._rights)
        if attached is self._main:
            self.observers.client_joined(attached.name, transport)
            if transport.kind == "webrtc" and self._settings.reject_echo:
                self._loudspeaker.listen("echo", self._hearing.reject_echo())
            self._loudspeaker.join(transport)
            self._changed()
            if self._tap is not None:
                self._tap.attached(transport)
        return attached

    def observe(self, transport: ObserverTransport, wants: Observing) -> Attachment:
        """Join an observer's connection to the call."""
        attached = self._attach(transport, RoleRights(wants.role, hides=wants.hides))
        if attached.name in self._attached:
            self.observers.joined(attached.name, transport, wants)
        return attached

    def _attach(self, transport: Transport, rights: Rights) -> Handle:
        self._count += 1
        attached = Handle(self, transport, f"t{self._count}", rights)
        if self._over is not None:
            transport.close(CLOSE_NORMAL, "The call has ended.")
            return attached
        self._attached[attached.name] = attached
        if transport.kind != "sideband":
            self._main = attached
        return attached

    def entry(self) -> CallEntry | None:
        """What a list of calls says of it; None without a client."""
        if self._main is None or self._over is not None:
            return None
        transport = self._main.transport
        return CallEntry(
            id=self.id,
            session_id=self.session_id,
            model=self._session.options.model,
            started_at=round(self._began, 3),
            filtered=transport.filter,
            transport="webrtc" if transport.kind == "webrtc" else "websocket",
            grant_label=self._grant.label if self._grant is not None else None,
        )

    def detached(self, attached: Handle, reason: str) -> None:
        self._attached.pop(attached.name, None)
        self.observers.left(attached.name, reason)
        if attached is self._main:
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
                self._jobs = JobRunner(
                    self._engines, group, self._told, self._pace, self._settings.engine_seconds, self._tools
                )
                loop = group.create_task(self._handle_all(), name=f"{self.id}-inbox")
                self._preparing = Preparing(self._engines, group)
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
        self.observers.close(reason)
        for attached in list(self._attached.values()):
            attached.transport.close(code, reason if attached is self._main else "The call has ended.")
        self._attached.clear()
        self._main = None
        self._alarm.cancel()
        if self._trace is not None:
            self._trace.close()
        if self._tap is not None:
            self._tap.closed(code)
        self.closed.set()

    def _time_is_up(self) -> None:
        self.tell(TimePassed())

    def _nobody_came(self) -> None:
        if self._count == 0:
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
                input = self._permitted(self._decode(waiting), waiting.rights)
                if isinstance(input, Received | Asked) and isinstance(sound := input.event, _SOUND):
                    self.observers.caller(sound.audio)
                await self._take(await self._without_noise(input))
            case Sound():
                self.observers.caller(waiting.pcm)
                await self._take(await self._without_noise(AudioReceived(pcm=waiting.pcm)))
            case _:
                await self._take(waiting)

    def _decode(self, message: Message) -> AnyInput:
        """What a client's message means to this kind of session."""
        options = self._session.options
        assert isinstance(options, SessionOptions)
        try:
            event = self._prompts.filled_event(decode_client_event(message.data))
        except ProtocolError as error:
            return refusal(error, message.sender)
        event = self._decoder.decode(event, options.audio.input.format)
        return Received(event=self._tools.sealed_event(event), sender=message.sender)

    def _permitted(self, input: AnyInput, rights: Rights) -> AnyInput:
        if isinstance(input, Received | Asked):
            try:
                rights.check(input.event)
                if self._is_main(input.sender):
                    self._privacy.check(input.event)
            except ProtocolError as error:
                event_id = input.event.event_id
                error.event_id = event_id if isinstance(event_id, str) else None
                return refusal(error, input.sender)
        return input

    async def _without_noise(self, input: AnyInput) -> AnyInput:
        """Sound for the input buffer is cleaned where the session says so, before anything hears it."""
        wanted = self._session.options.audio.input.noise_reduction
        match input:
            case AudioReceived():
                return AudioReceived(pcm=await self._noise.hear(input.pcm, wanted))
            case (
                Received(event=InputAudioBufferAppend() as event)
                | Asked(event=TranslationAudioAppend() as event)
            ):
                audio = await self._noise.hear(event.audio, wanted)
                return msgspec.structs.replace(input, event=msgspec.structs.replace(event, audio=audio))
        return input

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
                        inputs.append(self._flush())
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
                self._send(effect)
            case effects.StartJob():
                self._start(jobs, effect)
            case effects.Prepare():
                if self._preparing is not None:
                    self._preparing.read(effect.reply)
            case effects.FeedAudio():
                jobs.feed(effect.job, effect.pcm)
            case effects.FeedText():
                jobs.feed(effect.job, effect.text)
            case effects.FinishJob():
                jobs.finish(effect.job)
            case effects.CancelJob():
                jobs.cancel(effect.job)
            case effects.EndAudio():
                if self._main is not None:
                    self._main.transport.end_audio(effect.item_id)
            case effects.HangUp():
                self.hangup(effect.reason, effect.code)

    # ---------------------------------------------------------------------------- effects

    def _send(self, effect: effects.Send) -> None:
        """To everyone, or to one transport: then observers see it too, unless it is an observer's own."""
        plays = effect.format is not None and self._main is not None and self._main.transport.kind == "webrtc"
        if self._tap is not None and not plays:
            self._tap.sent(effect.event, effect.to)
        if effect.format is not None:
            if self._main is not None:
                self._main.transport.send(effect.event, effect.format)
                if not plays:
                    self._spoke(effect.event)
            return
        self.observers.sent(effect.event, effect.to is None or self._is_main(effect.to))
        shown = self._privacy.shown(effect.event)
        for attached in list(self._attached.values()):
            addressed = effect.to is None or effect.to == attached.name
            if attached.transport.kind == "sideband":
                if addressed or self._is_main(effect.to):
                    attached.transport.send(effect.event)
            elif addressed and shown is not None:
                attached.transport.send(shown)

    def _spoke(self, event: AnyServerEvent) -> None:
        match event:
            case OutputAudioDelta():
                self.observers.spoke(event.item_id, event.delta)
            case TranslatedAudioDelta():
                self.observers.spoke(SPOKEN_TAG, event.delta)

    def _is_main(self, name: str | None) -> bool:
        return self._main is not None and self._main.name == name

    def _start(self, jobs: JobRunner, effect: effects.StartJob) -> None:
        thinks = isinstance(effect.task, effects.Reply | effects.Converse)
        refusal = self._rate.refusal() if thinks and self._rate is not None else None
        if refusal is None:
            jobs.start(effect.job, effect.task)
        else:
            self.tell(JobFailed(job=effect.job, code="rate_limit_exceeded", message=refusal))

    def _spend(self, tokens: int) -> Input:
        assert self._rate is not None
        return Spent(**self._rate.spend(tokens)._asdict())

    def _flush(self) -> Input:
        played = self._main.transport.flush() if self._main is not None else []
        return Flushed(played=[ItemPlayed(item_id=each.tag, samples=each.samples) for each in played])

    # ---------------------------------------------------------------------------- for jobs

    async def _told(self, input: Input) -> None:
        """A job's result. A job can wait, so it does while the inbox is full."""
        await self.inbox.room()
        self.tell(input)

    async def _pace(self) -> None:
        """Wait while more sound is queued than the caller needs."""
        while self._main is not None:
            ahead_ms = self._main.transport.queued_ms - self._settings.playout_ms
            if ahead_ms <= 0:
                return
            await asyncio.sleep(ahead_ms / 1000)


def refusal(error: ProtocolError, sender: str) -> Refused:
    """A client's mistake as something that happened to its session."""
    return Refused(
        sender=sender,
        type=error.type,
        code=error.code,
        message=error.message,
        param=error.param,
        event_id=error.event_id,
    )


__all__ = ["Call"]
