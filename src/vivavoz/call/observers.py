"""Who is in a call besides its client, and what they asked for: replay, sound, timings, who comes and goes.

Costs a call nothing but the log of its events while nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vivavoz.call.audio_tap import AudioTap
from vivavoz.call.loudspeaker import Loudspeaker
from vivavoz.call.replay import ReplayLog
from vivavoz.call.stages import StageListener, TurnTimings
from vivavoz.call.watching import StageWatch
from vivavoz.transports.port import ObserverTransport, Transport, TransportKind
from vivavoz.wire.codec import encode
from vivavoz.wire.extensions import (
    AudioDropped,
    ExtensionEvent,
    Observing,
    ParticipantJoined,
    ParticipantLeft,
    Replayed,
    Role,
    Track,
    TurnTimingsEvent,
    sound_frame,
)
from vivavoz.wire.server_events import ConversationItemTruncated
from vivavoz.wire.translation import AnyServerEvent


class Participant(NamedTuple):
    """``observer`` None: the call's own client."""

    transport: Transport
    observer: Observer | None

    @property
    def kind(self) -> TransportKind:
        return self.transport.kind

    @property
    def role(self) -> Role | None:
        return self.observer.wants.role if self.observer is not None else None


class Observer:
    """One observer, and the sound that it was too slow for."""

    def __init__(self, transport: ObserverTransport, wants: Observing) -> None:
        self.transport = transport
        self.wants = wants
        self._missed: dict[Track, tuple[int, int]] = {}

    def hear(self, track: Track, position: int, samples: int, frame: bytes) -> None:
        if track in self.wants.tracks and not self.transport.sound(frame):
            self.miss(track, position, samples)

    def miss(self, track: Track, position: int, samples: int) -> None:
        if track in self.wants.tracks:
            first, before = self._missed.get(track, (position, 0))
            self._missed[track] = (first, before + samples)

    def take_missed(self) -> list[tuple[Track, int, int]]:
        """(track, first position, samples) of what it was not sent, once there is room for more."""
        if not self._missed or not self.transport.hears:
            return []
        missed = [(track, *what) for track, what in self._missed.items()]
        self._missed.clear()
        return missed


class Observers:
    """Of one call."""

    def __init__(
        self,
        replay_bytes: int,
        stages: StageWatch,
        loudspeaker: Loudspeaker,
        clock: Callable[[], float],
        began: float,
    ) -> None:
        """``began``: the call's start, on ``clock`` (s)."""
        self._loudspeaker = loudspeaker
        self._log = ReplayLog(replay_bytes)
        self._stages = stages
        self._clock = clock
        self._began = began
        self._present: dict[str, Participant] = {}
        self._tap: AudioTap | None = None
        self._timings: _Timings | None = None
        self._told = 0

    # ---------------------------------------------------------------------------- who is there

    def client_joined(self, name: str, transport: Transport) -> None:
        self._join(name, Participant(transport, None))

    def joined(self, name: str, transport: ObserverTransport, wants: Observing) -> None:
        """The past comes first, then who is there; what happens from now on reaches it as it reaches all."""
        observer = Observer(transport, wants)
        if wants.after is not None:
            replay = self._log.after(wants.after)
            for event in replay.events:
                transport.again(event)
            told = Replayed(event_id=self._event_id(), count=len(replay.events), complete=replay.complete)
            transport.tell(told)
        if "participants" in wants.extras:
            for other, participant in self._present.items():
                transport.tell(self._joined(other, participant))
        self._join(name, Participant(transport, observer))
        self._follow()

    def left(self, name: str, reason: str) -> None:
        """Idempotent."""
        participant = self._present.pop(name, None)
        if participant is None:
            return
        self._tell(
            lambda: ParticipantLeft(
                event_id=self._event_id(),
                participant=name,
                kind=participant.kind,
                role=participant.role or "client",
                reason=reason,
            ),
            "participants",
        )
        self._follow()

    def close(self, reason: str) -> None:
        """The call is over: its last sound, and that its client is gone."""
        self._stop_tap()
        for name, participant in list(self._present.items()):
            if participant.observer is None:
                self.left(name, reason)
        self._present.clear()
        self._follow()

    def _join(self, name: str, participant: Participant) -> None:
        self._tell(lambda: self._joined(name, participant), "participants")
        self._present[name] = participant

    def _joined(self, name: str, participant: Participant) -> ParticipantJoined:
        return ParticipantJoined(
            event_id=self._event_id(),
            participant=name,
            kind=participant.kind,
            role=participant.role or "client",
        )

    # ---------------------------------------------------------------------------- what happens

    def sent(self, event: AnyServerEvent, observed: bool) -> None:
        """An event of the call; ``observed``: observers see it, all of them."""
        if self._log.keeps:
            self._log.add(event.event_id, encode(event) if observed else b"")
        if self._tap is not None and isinstance(event, ConversationItemTruncated):
            self._tap.truncated(event.item_id, event.audio_end_ms)

    def caller(self, pcm: bytes) -> None:
        """The caller's sound, on its way to the session."""
        if self._tap is not None:
            self._tap.caller(pcm)

    def spoke(self, item_id: str, pcm: bytes) -> None:
        """The assistant's, on its way to a client that plays it."""
        if self._tap is not None:
            self._tap.sent(item_id, pcm)

    # ---------------------------------------------------------------------------- what is asked for

    def _follow(self) -> None:
        """Start what somebody wants, stop what nobody wants any more."""
        observers = self._observers()
        hears = any(observer.wants.tracks for observer in observers)
        if hears and self._tap is None:
            self._tap = AudioTap(self._began, self._clock, self._heard, self._lost)
            self._loudspeaker.listen("observers", self._tap.assistant)
        elif not hears:
            self._stop_tap()
        times = any("timings" in observer.wants.extras for observer in observers)
        if times and self._timings is None:
            self._timings = _Timings(self._timed)
            self._stages.listen(self._timings)
        elif not times and self._timings is not None:
            self._stages.unlisten(self._timings)
            self._timings = None

    def _stop_tap(self) -> None:
        if self._tap is not None:
            self._loudspeaker.listen("observers", None)
            self._tap.close()
            self._tap = None

    def _observers(self) -> list[Observer]:
        return [each.observer for each in self._present.values() if each.observer is not None]

    def _heard(self, track: Track, position: int, pcm: bytes) -> None:
        frame = sound_frame(track, position, pcm)
        for observer in self._observers():
            self._tell_missed(observer)
            observer.hear(track, position, len(pcm) // 2, frame)

    def _lost(self, track: Track, position: int, samples: int) -> None:
        for observer in self._observers():
            observer.miss(track, position, samples)

    def _tell_missed(self, observer: Observer) -> None:
        for track, position, samples in observer.take_missed():
            observer.transport.tell(
                AudioDropped(event_id=self._event_id(), track=track, position=position, samples=samples)
            )

    def _timed(self, timings: TurnTimings) -> None:
        self._tell(
            lambda: TurnTimingsEvent(
                event_id=self._event_id(),
                response_id=timings.response_id,
                item_id=timings.item_id,
                vad_ms=timings.vad_ms,
                turn_ms=timings.turn_ms,
                stt_ms=timings.stt_ms,
                llm_first_token_ms=timings.llm_first_token_ms,
                tts_first_audio_ms=timings.tts_first_audio_ms,
                first_packet_ms=timings.first_packet_ms,
            ),
            "timings",
        )

    def _tell(self, make: Callable[[], ExtensionEvent], extra: str) -> None:
        asked = [observer for observer in self._observers() if extra in observer.wants.extras]
        if not asked:
            return
        event = make()
        for observer in asked:
            observer.transport.tell(event)

    def _event_id(self) -> str:
        """Of our own count: the session's ids are what they would be without observers. In the log it has
        its place, so that an observer may come back and name it."""
        self._told += 1
        event_id = f"event_vivavoz_{self._told}"
        if self._log.keeps:
            self._log.add(event_id, b"")
        return event_id


class _Timings(StageListener):
    def __init__(self, tell: Callable[[TurnTimings], None]) -> None:
        self._tell = tell

    def timings(self, timings: TurnTimings) -> None:
        self._tell(timings)
