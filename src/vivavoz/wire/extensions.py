"""What observers may ask for that the hosted services have not (docs/observers.md). Who asks for nothing is
sent nothing of it.

Sound travels to observers in binary messages: one byte for the track, eight for the position of the first
sample (little-endian), then mono s16le PCM at 24 kHz.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

from vivavoz.wire.base import Data, Fixed

Role = Literal["listen", "coach", "control"]
"""Of an observer. ``listen`` sends nothing; ``coach`` puts items in and has them answered; ``control`` does
what the client can."""

Track = Literal["caller", "assistant"]

Extra = Literal["timings", "participants"]

START: Final = "start"
"""For ``after``: from the call's first event."""


class Observing(Fixed, frozen=True):
    """What an observer asked for when it connected. ``after``: the id of the last event it knows, or
    ``start``; None: it wants no replay."""

    role: Role = "control"
    after: str | None = None
    tracks: tuple[Track, ...] = ()
    extras: tuple[Extra, ...] = ()
    hides: bool = True
    """It may put in items marked ``private``."""


class Replayed(Data, tag_field="type", tag="vivavoz.replayed"):
    """Before this came ``count`` events of the past, after it comes what happens now. ``complete``: none is
    missing."""

    event_id: str
    count: int
    complete: bool


class TurnTimingsEvent(Data, tag_field="type", tag="vivavoz.turn.timings"):
    """What an answered turn took: milliseconds from the end of the caller's speech, null where unknown."""

    event_id: str
    response_id: str
    item_id: str
    vad_ms: int | None
    turn_ms: int | None
    stt_ms: int | None
    llm_first_token_ms: int | None
    tts_first_audio_ms: int | None
    first_packet_ms: int | None


class ParticipantJoined(Data, tag_field="type", tag="vivavoz.participant.joined"):
    """``role``: ``client`` is the call's own. Whoever was there already is told of first."""

    event_id: str
    participant: str
    kind: Literal["webrtc", "websocket", "sideband"]
    role: Role | Literal["client"]


class ParticipantLeft(Data, tag_field="type", tag="vivavoz.participant.left"):
    event_id: str
    participant: str
    kind: Literal["webrtc", "websocket", "sideband"]
    role: Role | Literal["client"]
    reason: str


class AudioDropped(Data, tag_field="type", tag="vivavoz.audio.dropped"):
    """The observer read too slowly: of this track it was not sent ``samples``, the first at ``position``."""

    event_id: str
    track: Track
    position: int
    samples: int


ExtensionEvent = Replayed | TurnTimingsEvent | ParticipantJoined | ParticipantLeft | AudioDropped

_HEADER = struct.Struct("<BQ")
_TRACKS: dict[Track, int] = {"caller": 0, "assistant": 1}


def sound_frame(track: Track, position: int, pcm: bytes) -> bytes:
    """The binary message. ``position``: samples at 24 kHz since the call's start."""
    return _HEADER.pack(_TRACKS[track], position) + pcm


def read_sound_frame(message: bytes) -> tuple[Track, int, bytes]:
    """The inverse. Raises ``ValueError``."""
    if len(message) < _HEADER.size:
        raise ValueError("too short for a frame of sound")
    number, position = _HEADER.unpack_from(message)
    for track, code in _TRACKS.items():
        if code == number:
            return track, position, message[_HEADER.size :]
    raise ValueError(f"there is no track {number}")


__all__ = [
    "START",
    "AudioDropped",
    "ExtensionEvent",
    "Extra",
    "Observing",
    "ParticipantJoined",
    "ParticipantLeft",
    "Replayed",
    "Role",
    "Track",
    "TurnTimingsEvent",
    "read_sound_frame",
    "sound_frame",
]
