"""What was measured of an endpoint, as a table and as JSON. It holds no key, and nothing that was said."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from vivavoz.measuring.conformance import Conformance
from vivavoz.measuring.figures import aligned, machine, percentile, summary
from vivavoz.measuring.line import Transport
from vivavoz.measuring.setup import STEPS as SETUP_STEPS
from vivavoz.measuring.setup import Setup
from vivavoz.measuring.streams import Streams
from vivavoz.measuring.turns import STEPS as TURN_STEPS
from vivavoz.measuring.turns import Turns

Row = tuple[object, ...]


class Measured(msgspec.Struct):
    """Of one transport. ``troubles``: what could not be measured, and why."""

    transport: Transport
    setup: Setup
    turns: Turns
    streams: list[Streams] = msgspec.field(default_factory=list)
    conformance: Conformance = msgspec.field(default_factory=Conformance)
    troubles: list[str] = msgspec.field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there is a figure at all."""
        return bool(self.setup.steps or self.turns.ms or any(each.answers for each in self.streams))

    def figures(self) -> dict[str, Any]:
        """What can be written as JSON; times in ms."""
        turns = self.turns
        return {
            "setup_ms": {step: summary(values) for step, values in self.setup.steps.items()},
            "round_trip_ms": {"events": self.setup.pair, **summary(self.setup.round_trips)}
            if self.setup.round_trips
            else None,
            "turns": {
                "asked": turns.asked,
                "answered": turns.answered,
                "silence_window_ms": turns.window_ms,
                "silence_window_confirmed": turns.window_confirmed,
                "yields": turns.yields,
                "ms": {step: summary(turns.ms[step]) for step in TURN_STEPS if step in turns.ms},
                "lacking": dict(turns.lacking),
            },
            "streams": [each.report() for each in self.streams],
            "events": self.conformance.report(self.transport),
            "troubles": self.troubles,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"\n{'WebRTC' if self.transport == 'webrtc' else 'WebSocket'} (ms)"
        rows = [*self._setup_rows(), *self._turn_rows(), *self._stream_rows()]
        if rows:
            yield aligned(["", "n", "p50", "p95", "most"], rows)
        for each in self.streams:
            yield f"  {_stream_line(each)}"
        if self.turns.ms:
            window = "as agreed" if self.turns.window_confirmed else "asked for, and not confirmed"
            yield f"  * less the silence window of {self.turns.window_ms:g} ms ({window})"
        for reason, times in self.turns.lacking.items():
            yield f"  {times} of {self.turns.asked} turns: {reason}"
        yield from self._event_lines()
        for trouble in self.troubles:
            yield f"  not measured: {trouble}"

    def _setup_rows(self) -> Iterator[Row]:
        for step, label in SETUP_STEPS[self.transport].items():
            if step in self.setup.steps:
                yield _row(label, self.setup.steps[step])
        if self.setup.round_trips:
            yield _row(self.setup.pair, self.setup.round_trips)

    def _turn_rows(self) -> Iterator[Row]:
        for step, label in TURN_STEPS.items():
            if step in self.turns.ms:
                yield _row(label, self.turns.ms[step])

    def _stream_rows(self) -> Iterator[Row]:
        for each in self.streams:
            what = "1 call" if each.calls == 1 else f"{each.calls} calls"
            if each.pace_ms:
                yield _row(f"packets off their pace, {what}", each.pace_ms)
                yield _row(f"longest silence in an answer, {what}", each.silence_ms)
            elif each.waits_ms:
                yield _row(f"a player ran dry for, {what}", each.waits_ms)

    def _event_lines(self) -> Iterator[str]:
        if not self.conformance.seen:
            return
        told = self.conformance.report(self.transport)
        yield f"  events: {len(told['seen'])} types came"
        for name, title in (
            ("missing", "expected and never seen"),
            ("not_known_here", "types that vivavoz does not send"),
        ):
            if told[name]:
                yield f"  {title}: {', '.join(told[name])}"
        if told["shaped_otherwise"]:
            pairs = (f"{kind} ({where})" for kind, where in told["shaped_otherwise"].items())
            yield f"  shaped otherwise than vivavoz sends them: {', '.join(pairs)}"
        if told["unreadable_messages"]:
            yield f"  messages that were no event: {told['unreadable_messages']}"
        if told["errors"]:
            yield "  errors: " + ", ".join(f"{code} ({n})" for code, n in told["errors"].items())


class Report:
    """Grows while it is measured, so that it can be shown at any moment."""

    def __init__(self, shown: str, version: str) -> None:
        self.endpoint = shown
        self.speech = ""
        self.notes: list[str] = []
        self.measured: list[Measured] = []
        self._version = version
        self._began = time.time()

    @property
    def anything(self) -> bool:
        return any(each.anything for each in self.measured)

    def text(self) -> str:
        head = [f"{self.endpoint}" + (f", asked by {self.speech}" if self.speech else "")]
        lines = [line for each in self.measured for line in each.lines()]
        return "\n".join([*head, *lines, *(f"\nnote: {note}" for note in self.notes)])

    def figures(self) -> dict[str, Any]:
        """What can be written as JSON."""
        return {
            "endpoint": self.endpoint,
            "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began)),
            "took_s": round(time.time() - self._began, 1),
            "vivavoz": self._version,
            "machine": machine(),
            "speech": self.speech,
            "notes": self.notes,
            **{each.transport: each.figures() for each in self.measured},
        }


def _row(label: str, values: Sequence[float]) -> Row:
    return (label, len(values), percentile(values, 50), percentile(values, 95), max(values))


def _stream_line(each: Streams) -> str:
    what = "1 call" if each.calls == 1 else f"{each.calls} calls at once"
    if not each.answers:
        return f"{what}: nothing to measure"
    parts = [f"{what}: {each.spoken_s:.0f} s of speech in {_counted(each.answers, 'answer')}"]
    if each.pace_ms:
        parts.append(f"pace p99 {percentile(each.pace_ms, 99):.1f} ms")
        parts.append(f"{each.lost} of {each.packets} packets lost, {each.late} late by more than 40 ms")
    else:
        parts.append(f"a player without a buffer ran dry {_counted(len(each.waits_ms), 'time')}")
        if each.speed:
            parts.append(f"sound came {percentile(each.speed, 50):.1f} times as fast as it is played")
    return "; ".join(parts)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
