"""Where the milliseconds of a turn go: a call's trace, replayed, as marks on the clock of the measurement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.rig import percentile
from vivavoz.call.trace import replay
from vivavoz.session.effects import Send
from vivavoz.session.inputs import PlaybackStarted, RepliedText, Synthesized, Transcribed
from vivavoz.wire.server_events import event_type

_EVENTS = ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created")
_INPUTS = {
    Transcribed: "transcript",
    RepliedText: "reply text",
    Synthesized: "sound made",
    PlaybackStarted: "sound sent",
}
STAGES = (
    "input_audio_buffer.speech_stopped",
    "transcript",
    "response.created",
    "reply text",
    "sound made",
    "sound sent",
)
"""Marks of an answer, in the order in which they come."""


class Mark(msgspec.Struct, frozen=True):
    at: float
    """On ``time.time()``'s clock."""
    name: str


def marks(path: Path) -> list[Mark]:
    """What happened in a traced call, and when. The call must have been on this machine since its boot."""
    offset = time.time() - time.monotonic()
    found: list[Mark] = []
    for step, effects in replay(path):
        at = step.now + offset
        name = _INPUTS.get(type(step.input))
        if name is not None and not (isinstance(step.input, Transcribed) and not step.input.final):
            found.append(Mark(at, name))
        sent = [event_type(effect.event) for effect in effects if isinstance(effect, Send)]
        found += [Mark(at, kind) for kind in sent if kind in _EVENTS]
    return found


def split(
    turns: Sequence[tuple[float, float]], found: Sequence[Mark], window_ms: float
) -> list[tuple[str, float, float]]:
    """Of each stage (name, median ms, p95 ms): the time since the mark before it. A turn is when speech ended
    and when its answer was heard; the silence window is not counted."""
    rows: dict[str, list[float]] = {name: [] for name in [*STAGES, "first packet heard"]}
    for ended, heard in turns:
        before = ended + window_ms / 1000
        for name in STAGES:
            at = next(
                (mark.at for mark in found if mark.name == name and ended < mark.at <= heard + 0.02), None
            )
            if at is not None:
                rows[name].append((at - before) * 1000)
                before = at
        rows["first packet heard"].append((heard - before) * 1000)
    return [(name, percentile(each, 50), percentile(each, 95)) for name, each in rows.items() if each]
