"""Spoken turns: how soon an answer is heard, and how soon it stops for somebody who speaks into it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from vivavoz.measuring.inbox import Ended
from vivavoz.measuring.line import QUIET_S, Line
from vivavoz.measuring.sound import Utterance

INSTRUCTIONS = "Answer every question at length, in at least eight sentences, whatever was said."
"""So that there is something to interrupt."""
_ANSWER_S = 30.0
_SPOKEN_S = 30.0
_ENDS_S = 45.0
_GREETS_AFTER_S = 0.5
_GREETING_S = 20.0
_JUST_NOW_S = 1.0
_PAUSES_S = (0.6, 1.4)
"""How long an answer is listened to before it is interrupted."""
_OVER = "the answer was over before it could be interrupted"
_GOING_ON_S = 0.1
_MOST_FAILURES = 2

STEPS = {
    "input_audio_buffer.speech_started": "speech onset -> speech_started",
    "input_audio_buffer.speech_stopped": "speech end -> speech_stopped *",
    "response.created": "speech end -> response.created *",
    "output_audio_buffer.started": "speech end -> output_audio_buffer.started *",
    "response.output_audio.delta": "speech end -> first audio delta *",
    "audible": "speech end -> first audible *",
    "silent": "speech onset -> the voice stops",
    "cancelled": "speech onset -> response.done (cancelled)",
}
"""What is measured -> how tables call it; *: less the silence window."""
_AFTER = (
    "input_audio_buffer.speech_stopped",
    "response.created",
    "output_audio_buffer.started",
)
_INTERRUPTED = ("output_audio_buffer.cleared", "conversation.item.truncated")


class Turns(msgspec.Struct):
    """``ms``: of each step, a figure a turn in which it could be measured. ``window_ms``: the silence after
    which the endpoint takes a turn for over. ``lacking``: what could not be measured, and in how many turns.
    ``yields``: whether it falls silent for who speaks."""

    window_ms: float
    window_confirmed: bool = False
    asked: int = 0
    answered: int = 0
    ms: dict[str, list[float]] = msgspec.field(default_factory=dict)
    lacking: Counter[str] = msgspec.field(default_factory=Counter)
    yields: bool = True

    def add(self, step: str, seconds: float) -> None:
        self.ms.setdefault(step, []).append(seconds * 1000)


async def converse(line: Line, utterances: Sequence[bytes], count: int, found: Turns) -> None:
    """``count`` turns after a first one that warms the endpoint up; each interrupts the answer to the one
    before, at another moment. ``found`` grows as figures come.

    Raises TimeoutError, :class:`~vivavoz.measuring.inbox.Ended`.
    """
    await _agree(line, found)
    await _greeted(line)
    chance = random.Random(1)
    failures, answering = 0, False
    for number in range(count + 1):
        began = time.time()
        speaking = answering and line.last_audible(began - _JUST_NOW_S, began) is not None
        utterance = line.say(utterances[number % len(utterances)])
        await _spoken(line, utterance)
        counted = number > 0
        found.asked += counted
        if speaking:
            _stopped(line, utterance, found)
        elif counted and answering and found.yields:
            found.lacking[_OVER] += 1
        try:
            heard = await line.heard(utterance.ended, _ANSWER_S)
        except TimeoutError:
            if line.inbox.ended is not None:
                raise Ended(line.inbox.ended) from None
            found.lacking[_why_silent(line, utterance)] += 1
            failures, answering = failures + 1, False
            if failures >= _MOST_FAILURES:
                raise TimeoutError(f"{failures} questions in a row had no audible answer") from None
            continue
        failures, answering = 0, True
        await asyncio.sleep(max(0.0, heard - time.time()) + chance.uniform(*_PAUSES_S))
        if counted:
            found.answered += 1
            _answered(line, utterance, heard, found)
        if not found.yields and not await line.until_over(utterance.ended, _ENDS_S):
            raise TimeoutError(f"an answer did not end within {_ENDS_S:g} s")


async def _agree(line: Line, found: Turns) -> None:
    """Ask for the silence window, and read what the endpoint made of it."""
    detection: dict[str, Any] = {"type": "server_vad", "silence_duration_ms": int(found.window_ms)}
    told: Any = None
    # Who does not answer this may converse all the same.
    with contextlib.suppress(TimeoutError):
        told = await line.update(
            {"instructions": INSTRUCTIONS, "audio": {"input": {"turn_detection": detection}}}
        )
    for name in ("audio", "input", "turn_detection", "silence_duration_ms"):
        told = told.get(name) if isinstance(told, dict) else None
    if isinstance(told, int | float) and 0 <= told <= 10_000:
        found.window_ms, found.window_confirmed = float(told), True


async def _greeted(line: Line) -> None:
    """Let an endpoint finish that speaks before it is asked anything."""
    await asyncio.sleep(_GREETS_AFTER_S)
    if line.is_quiet(_GREETS_AFTER_S):
        return
    deadline = time.monotonic() + _GREETING_S
    while not line.is_quiet(QUIET_S):
        if time.monotonic() > deadline:
            raise TimeoutError("something sounds all the time, before anything was asked")
        await asyncio.sleep(0.05)


async def _spoken(line: Line, utterance: Utterance) -> None:
    try:
        async with asyncio.timeout(_SPOKEN_S):
            await utterance.over.wait()
    except TimeoutError:
        raise Ended(line.inbox.ended or "the question could not be sent") from None


def _answered(line: Line, utterance: Utterance, heard: float, found: Turns) -> None:
    window, inbox = found.window_ms / 1000, line.inbox
    found.add("audible", heard - utterance.ended - window)
    started = inbox.first("input_audio_buffer.speech_started", after=utterance.began)
    if started is not None and started[0] < heard:
        found.add("input_audio_buffer.speech_started", started[0] - utterance.began)
    for kind in _AFTER:
        came = inbox.first(kind, after=utterance.ended)
        if came is not None:
            found.add(kind, came[0] - utterance.ended - window)
    if line.player is not None:
        first = next((piece for piece in line.player.pieces if piece.arrived > utterance.ended), None)
        if first is not None:
            found.add("response.output_audio.delta", first.arrived - utterance.ended - window)


def _stopped(line: Line, utterance: Utterance, found: Turns) -> None:
    """The caller has spoken into the answer, and is done. Who pauses just then is silent at once."""
    last = line.last_audible(utterance.began, utterance.ended)
    if last is not None and last > utterance.ended - _GOING_ON_S:
        found.yields = False
        found.lacking["the voice went on while the caller spoke"] += 1
        return
    done = line.inbox.first("response.done", after=utterance.began)
    if done is not None and _status(done[1]) == "cancelled":
        found.add("cancelled", done[0] - utterance.began)
    elif not _was_interrupted(line, utterance.began, last):
        found.lacking[_OVER] += 1
        return
    found.add("silent", 0.0 if last is None else last - utterance.began)


def _was_interrupted(line: Line, began: float, last: float | None) -> bool:
    """Not merely over: the endpoint says so, a player threw something away, or, where neither can be, it
    heard the caller while its voice sounded."""
    if line.player is not None:
        return any(moment > began for moment in line.player.cut)
    if line.inbox.first(*_INTERRUPTED, after=began):
        return True
    return last is not None and line.inbox.first("input_audio_buffer.speech_started", after=began) is not None


def _why_silent(line: Line, utterance: Utterance) -> str:
    """After no answer was heard."""
    inbox = line.inbox
    done = inbox.first("response.done", after=utterance.began)
    if done is not None and _status(done[1]) == "failed":
        return "the response failed"
    if done is not None:
        return "the response was done without anything audible"
    if inbox.first("response.created", after=utterance.began) is not None:
        return "the response brought nothing audible in time"
    if inbox.first("input_audio_buffer.speech_stopped", after=utterance.began) is not None:
        return "speech was noticed, and no response created"
    if inbox.first("input_audio_buffer.speech_started", after=utterance.began) is not None:
        return "speech was noticed, but not its end"
    return "speech was not noticed"


def _status(event: dict[str, Any]) -> object:
    response = event.get("response")
    return response.get("status") if isinstance(response, dict) else None
