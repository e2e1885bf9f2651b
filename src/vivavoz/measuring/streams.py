"""How evenly the voice comes while it speaks, in one call and in several at once."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import msgspec

from vivavoz.measuring.figures import summary
from vivavoz.measuring.inbox import Ended
from vivavoz.measuring.line import Line
from vivavoz.measuring.sound import Heard, ahead, deviations_ms
from vivavoz.measuring.websocket import Piece

QUESTION = "Please count to 60."
_ANSWER_S = 30.0
_LATE_MS = 40.0
_STOOD_MS = 5.0


class Streams(msgspec.Struct):
    """Of all answers together. ``pace_ms``: of each packet, |time since the last - what their timestamps
    say|. ``late``: packets more than 40 ms later than the quickest of their answer. ``silence_ms``: the
    longest inaudible stretch of each answer, a speaker's own pauses included. ``waits_ms``: each time that a
    player without a buffer ran dry. ``speed``: of each answer, seconds of sound a second."""

    calls: int
    answers: int = 0
    spoken_s: float = 0.0
    packets: int = 0
    lost: int = 0
    late: int = 0
    undecodable: int = 0
    pace_ms: list[float] = msgspec.field(default_factory=list)
    silence_ms: list[float] = msgspec.field(default_factory=list)
    waits_ms: list[float] = msgspec.field(default_factory=list)
    speed: list[float] = msgspec.field(default_factory=list)
    failed: list[str] = msgspec.field(default_factory=list)

    def packets_of(self, heard: list[Heard]) -> None:
        """An answer over WebRTC: its packets from the first audible one to the last, as they came."""
        if len(heard) < 2:
            return
        self.answers += 1
        self.spoken_s += heard[-1].arrived - heard[0].arrived
        self.packets += len(heard)
        self.lost += missing([each.sequence for each in heard])
        arrivals = [(each.arrived, each.timestamp) for each in heard]
        self.pace_ms += deviations_ms(arrivals, heard[0].arrived, heard[-1].arrived)
        transits = [
            each.arrived - heard[0].arrived - ahead(each.timestamp, heard[0].timestamp) / 48_000
            for each in heard
        ]
        quickest = min(transits)
        self.late += sum((each - quickest) * 1000 > _LATE_MS for each in transits)
        self.silence_ms.append(_longest_silence(heard) * 1000)

    def pieces_of(self, pieces: list[Piece]) -> None:
        """An answer over a WebSocket: its deltas."""
        if not pieces:
            return
        sound = sum(piece.end - piece.start for piece in pieces)
        took = pieces[-1].arrived - pieces[0].arrived
        self.answers += 1
        self.spoken_s += sound
        self.packets += len(pieces)
        # The first delta was there when the clock began.
        brought = sound - (pieces[0].end - pieces[0].start)
        if took > 0 and brought > 0:
            self.speed.append(brought / took)
        self.waits_ms += [piece.waited * 1000 for piece in pieces if piece.waited * 1000 > _STOOD_MS]

    def report(self) -> dict[str, object]:
        """What can be written as JSON."""
        kept: dict[str, object] = {
            "calls": self.calls,
            "answers": self.answers,
            "spoken_s": round(self.spoken_s, 2),
            "packets": self.packets,
        }
        if self.pace_ms:
            kept |= {"lost": self.lost, "late": self.late, "undecodable": self.undecodable}
            kept |= {"pace_ms": summary(self.pace_ms), "longest_silence_ms": summary(self.silence_ms)}
        if self.speed:
            kept |= {"speed": summary(self.speed)}
        if not self.pace_ms:
            kept |= {"dry_ms": summary(self.waits_ms) if self.waits_ms else {"n": 0}}
        return kept | ({"failed": self.failed} if self.failed else {})


async def listen(lines: list[Line], seconds: float, found: Streams) -> None:
    """Ask for long answers in all calls at once, again and again for so long, and take what comes."""
    async with asyncio.TaskGroup() as group:
        for line in lines:
            group.create_task(_one(line, seconds, found))


async def _one(line: Line, seconds: float, found: Streams) -> None:
    asked = time.time()
    deadline = asked + seconds
    try:
        while time.time() < deadline:
            asked = time.time()
            line.ask(QUESTION)
            first = await line.heard(asked, _ANSWER_S)
            # Who had to wait for the first sound is listened to all the same.
            await line.until_over(asked, max(deadline, first + seconds / 2) - time.time())
            _take(line, asked, first, found)
    except (TimeoutError, Ended) as error:
        found.failed.append(str(error))
    if line.inbox.first("response.done", after=asked) is None:
        line.send({"type": "response.cancel"})


def _take(line: Line, asked: float, first: float, found: Streams) -> None:
    if line.listener is not None:
        last = line.last_audible(first, time.time()) or first
        found.packets_of([each for each in line.listener.heard if first <= each.arrived <= last])
    if line.player is not None:
        found.pieces_of([piece for piece in line.player.pieces if piece.arrived > asked])


def missing(sequences: list[int]) -> int:
    """How many of a run of 16-bit sequence numbers never came."""
    if not sequences:
        return 0
    unwrapped = [sequences[0]]
    for each in sequences[1:]:
        step = (each - unwrapped[-1]) & 0xFFFF
        unwrapped.append(unwrapped[-1] + (step if step < 0x8000 else step - 0x10000))
    return max(0, max(unwrapped) - min(unwrapped) + 1 - len(set(unwrapped)))


def _longest_silence(heard: list[Heard]) -> float:
    """Seconds between two audible samples, by the clock on which they arrived; what a 20 ms packet has
    of its own included."""
    spoken = [
        (each.arrived + each.first, each.arrived + each.last)
        for each in heard
        if each.first is not None and each.last is not None
    ]
    return max((later[0] - earlier[1] for earlier, later in pairwise(spoken)), default=0.0)
