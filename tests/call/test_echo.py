"""Our own voice in the caller's microphone is not speech; whoever else speaks is."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.call.sounds import silence
from tests.call.test_call import play, text_turn
from tests.call.transports import FakeTransport
from vivavoz.call.echo import HOLD, EchoGuard
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings
from vivavoz.engines.energy_vad import EnergyVadStream
from vivavoz.engines.scripted.voice import say

FRAME = 480
RATE = 24_000
Sound = NDArray[np.float64]


def spoken(text: str, voice: str) -> Sound:
    pcm = b"".join(say(word + " ", voice, 1.0) for word in text.split())
    sound = np.frombuffer(pcm, dtype="<i2") / 32_768
    return sound[: len(sound) // FRAME * FRAME]


OURS = spoken("the next train to the coast leaves at ten past nine from platform four", "coral")
THEIRS = spoken("wait that is not what I meant", "onyx")


def echoed(sound: Sound, delay_ms: float, gain_db: float, *, seed: int = 1) -> Sound:
    """Delayed, softer, without the lows, in a small room, with the hiss of a microphone."""
    rng = np.random.default_rng(seed)
    delay, tail = round(delay_ms * RATE / 1000), RATE // 5
    room = np.zeros(delay + tail)
    room[delay:] = rng.normal(size=tail) * 10 ** (-3 * np.arange(tail) / tail)
    room *= 10 ** (-8 / 20) / np.sqrt((room**2).sum())
    room[delay] += 1
    size = len(sound) + len(room)
    hz = np.fft.rfftfreq(size, 1 / RATE)
    band = 1 / np.sqrt(1 + (200 / np.maximum(hz, 1)) ** 4)
    out = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size) * band, size)[: len(sound)]
    return out * 10 ** (gain_db / 20) + rng.normal(scale=3e-4, size=len(sound))


def onset_ms(mic: Sound, far: Sound | None, *, jitter: int = 1) -> float | None:
    """When two frames in a row were speech, as a turn begins."""
    guard, vad, rng = EchoGuard(), EnergyVadStream(), np.random.default_rng(jitter)
    pcm = (np.clip(mic, -1, 1) * 32_767).astype("<i2")
    row = 0
    for n in range(len(pcm) // FRAME):
        now = 50 + 0.02 * (n + 1)
        if far is not None and (n + 1) * FRAME <= len(far):
            sent = (far[n * FRAME : (n + 1) * FRAME] * 32_767).astype("<i2").tobytes()
            guard.played(sent, now + rng.uniform(0, 0.004))
        frame = pcm[n * FRAME : (n + 1) * FRAME].tobytes()
        arrived = now + rng.uniform(0, 0.015)
        guard.heard(frame, arrived)
        for score in vad.score_now(frame):
            row = row + 1 if guard.judge(score.probability, arrived) >= 0.5 else 0
            if row == 2:
                return (n + 1) * 20.0
    return None


@settings(max_examples=15, deadline=None)
@given(delay_ms=st.integers(40, 300), gain_db=st.integers(-30, -6), jitter=st.integers(0, 99))
def test_an_echo_is_no_speech(delay_ms: int, gain_db: int, jitter: int) -> None:
    heard = echoed(OURS, delay_ms, gain_db)
    assert onset_ms(heard, None) is not None, "the detector alone takes it for speech"
    assert onset_ms(heard, OURS, jitter=jitter) is None


@settings(max_examples=15, deadline=None)
@given(at_ms=st.integers(5, 150), jitter=st.integers(0, 99))
def test_without_an_echo_a_caller_is_heard_as_soon_as_ever(at_ms: int, jitter: int) -> None:
    """Early in our first words, when it is not known yet that there is no echo, ``HOLD`` later."""
    mic = np.random.default_rng(2).normal(scale=3e-4, size=len(OURS))
    at = at_ms * FRAME
    mic[at : at + len(THEIRS)] += 0.3 * THEIRS[: len(mic) - at]
    alone, beside = onset_ms(mic, None), onset_ms(mic, OURS, jitter=jitter)
    assert alone is not None
    assert beside is not None
    assert beside - alone <= (HOLD * 1000 if at_ms < 80 else 20)


@pytest.mark.parametrize("at_ms", [1000, 1500, 2200])
@pytest.mark.parametrize("delay_ms", [60, 140, 270])
def test_a_caller_louder_than_the_echo_interrupts(at_ms: int, delay_ms: int) -> None:
    echo = echoed(OURS, delay_ms, -20)
    mic = echo.copy()
    at = at_ms * RATE // 1000
    loud = 4 * np.sqrt((echo**2).mean() / (THEIRS**2).mean())
    mic[at : at + len(THEIRS)] += loud * THEIRS[: len(mic) - at]
    found = onset_ms(mic, OURS)
    assert found is not None
    assert at_ms < found <= at_ms + 150


def test_where_nothing_was_played_nothing_is_compared() -> None:
    guard = EchoGuard()
    guard.heard(bytes(960), 0.0)
    assert guard.judge(0.8, 0.0) == 0.8


def test_what_was_played_long_ago_is_forgotten() -> None:
    guard = EchoGuard()
    loud = (OURS[:FRAME] * 32_767).astype("<i2").tobytes()
    guard.played(loud, 1.0)
    guard.heard(loud, 3.0)
    assert guard.judge(0.8, 3.0) == 0.8


def test_minutes_at_once_are_no_more_work_than_what_is_kept() -> None:
    guard = EchoGuard()
    guard.played((OURS[:FRAME] * 32_767).astype("<i2").tobytes(), 1.0)
    guard.heard(bytes(48_000 * 300), 1.1)
    assert sum(len(pcm) for pcm, _ in guard._near._waiting) < 48_000
    assert guard.judge(0.8, 1.1, behind=24_000 * 200) == 0.8


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 3000), min_size=20, max_size=60))
def test_how_the_microphone_is_cut_makes_no_difference(sizes: list[int]) -> None:
    heard = (echoed(OURS, 120, -12) * 32_767).astype("<i2")[: sum(sizes)]
    verdicts = []
    for whole in (False, True):
        guard = EchoGuard()
        for n in range(len(OURS) // FRAME):
            sent = (OURS[n * FRAME : (n + 1) * FRAME] * 32_767).astype("<i2").tobytes()
            guard.played(sent, 10 + 0.02 * (n + 1))
            guard.judge(0.0, 10.0)
        end = 0
        for size in [len(heard)] if whole else sizes:
            piece = heard[end : end + size]
            end += len(piece)
            guard.heard(piece.tobytes(), 10 + end / RATE)
        verdicts.append(guard.judge(1.0, 10 + end / RATE))
    assert verdicts[0] == verdicts[1]


def _talking_to_itself(reject: bool) -> list[str]:
    """A call whose microphone carries what it plays, 100 ms later, and no caller."""
    types: list[str] = []

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport("webrtc").join(calls.open(None, "gpt-realtime"))
        client.speak(silence(500))
        text_turn(client, "word " * 100)
        await client.until("response.output_audio_transcript.delta")
        echo = (echoed(OURS, 100, -12) * 32_767).astype("<i2").tobytes()
        sent = (OURS * 32_767).astype("<i2").tobytes()
        for at in range(0, 960 * 100, 960):
            if client.monitored is not None:
                client.monitored(sent[at : at + 960])
            client.speak(echo[at : at + 960])
            await asyncio.sleep(0.02)
        types.extend(client.types())

    play(scene, CallSettings(reject_echo=reject))
    return types


def test_a_call_does_not_interrupt_itself() -> None:
    assert "input_audio_buffer.speech_started" not in _talking_to_itself(True)
    assert "input_audio_buffer.speech_started" in _talking_to_itself(False)
