"""The energy VAD on sound that is known sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoz.engines.energy_vad import FRAME, EnergyVad
from vivavoz.engines.scripted.voice import say

RATE = 24_000


def pcm(samples: np.ndarray) -> bytes:
    return np.clip(samples * 32768, -32768, 32767).astype("<i2").tobytes()


def noise(seconds: float, db: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * 10 ** (db / 20)


def tone(seconds: float, db: float, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return np.sqrt(2) * np.sin(2 * np.pi * hertz * time) * 10 ** (db / 20)


def voice(db: float = -16.0) -> np.ndarray:
    sound = b"".join(
        say(word, "alloy", 1.0) for word in ["well", "hello", "there", "how", "are", "you", "today"]
    )
    return np.frombuffer(sound, dtype="<i2") / 32768 * 10 ** ((db + 16.0) / 20)


def speech(sound: bytes) -> np.ndarray:
    """For each frame, whether it is speech."""
    return np.array([score.probability >= 0.5 for score in EnergyVad().open().score_now(sound)])


def test_digital_silence_is_zero() -> None:
    scores = EnergyVad().open().score_now(bytes(RATE * 2))
    assert [score.probability for score in scores] == [0.0] * 50


def test_silence_after_speech_is_zero_at_once() -> None:
    scores = EnergyVad().open().score_now(pcm(voice()) + bytes(2 * FRAME * 10))
    assert [score.probability for score in scores[-9:]] == [0.0] * 9


def test_comfort_noise_is_no_speech() -> None:
    assert not speech(pcm(np.concatenate([noise(1, -62), np.zeros(RATE), noise(1, -58)]))).any()


def test_a_call_that_opens_in_a_noisy_room_is_not_speech() -> None:
    assert speech(pcm(noise(4, -40))).mean() < 0.02


def test_noise_that_begins_later_becomes_background() -> None:
    frames = speech(pcm(np.concatenate([noise(2, -62), noise(4, -42)])))
    assert not frames[:100].any()
    assert not frames[-100:].any()


def test_noise_that_pauses_stays_background() -> None:
    """Discontinuous transmission: the room comes and goes, the floor stays."""
    bursts = np.concatenate([np.concatenate([noise(0.4, -45, seed), np.zeros(RATE)]) for seed in range(5)])
    assert not speech(pcm(bursts)).any()


@pytest.mark.parametrize("db", [-16.0, -26.0, -36.0, -44.0])
def test_speech_is_found_however_quiet(db: float) -> None:
    sound = np.concatenate([noise(1, -70), voice(db), noise(1, -70, 2)])
    frames = speech(pcm(sound))
    inside = frames[50 : 50 + len(voice()) // FRAME]
    assert not frames[:50].any()
    assert inside.mean() > 0.5
    assert not frames[-45:].any()


def test_speech_stands_out_of_a_noisy_room() -> None:
    sound = noise(5, -42)
    sound[RATE * 2 : RATE * 2 + len(voice())] += voice(-20)
    frames = speech(pcm(sound))
    assert not frames[50:100].any()
    assert frames[100 : 100 + len(voice()) // FRAME].mean() > 0.4


def test_onset_is_seen_in_the_frame_that_holds_it() -> None:
    sound = np.concatenate([noise(1, -65), tone(0.5, -20)])
    frames = speech(pcm(sound))
    assert not frames[:50].any()
    assert frames[50]


@pytest.mark.parametrize("lead", range(0, FRAME, 60))
def test_a_call_that_opens_with_a_hissed_consonant_is_speech(lead: int) -> None:
    word = np.frombuffer(say("six", "echo", 1.0), dtype="<i2") / 32768
    sound = np.concatenate([np.zeros(RATE + lead), word, np.zeros(RATE)])
    assert speech(pcm(sound)).sum() >= 8


def test_a_held_tone_stays_speech() -> None:
    assert speech(pcm(tone(20, -20))).all()


def test_hum_and_offset_are_not_speech() -> None:
    assert not speech(pcm(tone(3, -25, 50) + 0.1)).any()


def test_probability_falls_by_degrees() -> None:
    stream = EnergyVad().open()
    sound = pcm(np.concatenate([tone(0.2, -20), noise(0.2, -70)]))
    probabilities = [score.probability for score in stream.score_now(sound)][10:15]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0.5 < probabilities[0] < 0.7


async def test_streams_know_nothing_of_each_other() -> None:
    vad = EnergyVad()
    loud, quiet = vad.open(), vad.open()
    await loud.score(pcm(tone(1, -20)))
    assert (await quiet.score(bytes(2 * FRAME)))[0].end_sample == FRAME


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2000), max_size=12))
def test_how_the_sound_is_cut_does_not_matter(cuts: list[int]) -> None:
    sound = pcm(np.concatenate([noise(0.1, -60), tone(0.2, -30), np.zeros(2000)]))
    whole = EnergyVad().open().score_now(sound)
    stream = EnergyVad().open()
    pieces = []
    start = 0
    for cut in cuts:
        pieces += stream.score_now(sound[start : start + 2 * cut])
        start += 2 * cut
    pieces += stream.score_now(sound[start:])
    assert [piece.end_sample for piece in pieces] == [score.end_sample for score in whole]
    assert [piece.probability for piece in pieces] == pytest.approx([s.probability for s in whole], abs=1e-3)
