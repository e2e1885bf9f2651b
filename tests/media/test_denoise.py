"""Noise reduction: noise goes, speech stays, and nothing moves by more than the delay it admits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.speech import RATE, real_speech, scripted_speech, silence
from vivavoz.engines.energy_vad import EnergyVad
from vivavoz.media import denoise
from vivavoz.media.denoise import DELAY_SAMPLES, FRAME_BYTES, Field, open_denoiser

pytestmark = pytest.mark.skipif(not denoise.available(), reason="webrtc-noise-gain is not installed")

FIELDS: tuple[Field, ...] = ("near_field", "far_field")
LEAD_S = 2.0
"""How long the noise is heard before anybody speaks: what it sounds like must be learnt."""

Samples = npt.NDArray[np.float64]


def samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, dtype="<i2").astype(np.float64)


def pcm(values: Samples) -> bytes:
    return np.clip(np.rint(values), -32768, 32767).astype("<i2").tobytes()


def decibels(values: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(values**2)) + 1e-9))


@lru_cache
def said() -> bytes:
    return scripted_speech("the quick brown fox jumps over the lazy dog")


def scene(speech: bytes) -> bytes:
    """Two utterances, a pause before, between and after them, in whole frames."""
    whole = silence(LEAD_S) + speech + silence(1) + speech + silence(1)
    return whole[: len(whole) // FRAME_BYTES * FRAME_BYTES]


def noise(kind: str, count: int) -> Samples:
    """Unit power: a hiss, or a room (fan and hum, loudest at the bottom)."""
    hiss = np.random.default_rng(7).normal(size=count)
    if kind == "hiss":
        return hiss
    spectrum = np.fft.rfft(hiss)
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    spectrum /= np.sqrt(np.maximum(frequency, 80.0))
    room = np.fft.irfft(spectrum, count)
    room /= room.std()
    hum = np.sin(2 * np.pi * 120 * np.arange(count) / RATE)
    mixed = room + 0.5 * hum
    return np.asarray(mixed / mixed.std())


def clean(field: Field, sound: bytes) -> bytes:
    return open_denoiser(field).process(sound)


def left_over(cleaned: Samples, reference: Samples) -> float:
    """Signal to noise (dB), where ``reference`` is what would have come out had there been no noise."""
    gain = float(cleaned @ reference) / float(reference @ reference)
    return decibels(gain * reference) - decibels(cleaned - gain * reference)


@pytest.mark.parametrize("kind", ["hiss", "room"])
@pytest.mark.parametrize(
    ("field", "quieter_db", "better_db"), [("near_field", 10, 2.5), ("far_field", 16, 2.5)]
)
def test_speech_stands_out_of_noise(field: Field, kind: str, quieter_db: float, better_db: float) -> None:
    speech = samples(scene(said()))
    loudness = decibels(samples(said())) - 5.0
    hiss = noise(kind, len(speech)) * 10 ** (loudness / 20)
    before = speech + hiss
    after = samples(clean(field, pcm(before)))
    undisturbed = samples(clean(field, pcm(speech)))

    pause = slice(int(1.2 * RATE), int(1.9 * RATE))
    assert decibels(before[pause]) - decibels(after[pause]) > quieter_db
    spoken = slice(int(LEAD_S * RATE), int(LEAD_S * RATE) + len(said()) // 2)
    into = decibels(speech[spoken]) - decibels(hiss[spoken])
    assert left_over(after[spoken], undisturbed[spoken]) > into + better_db


@pytest.mark.parametrize("field", FIELDS)
def test_speech_without_noise_stays_what_it_is(field: Field) -> None:
    before = scene(said())
    after = clean(field, before)
    assert len(after) == len(before)
    start = int(LEAD_S * RATE)
    spoken = slice(start, start + len(said()) // 2)
    # The scripted voice is steadier than any person's, so that some of it is taken for a hum.
    assert abs(decibels(samples(after)[spoken]) - decibels(samples(before)[spoken])) < 4.0
    assert decibels(samples(after)[: start - RATE]) < 0.0


@pytest.mark.parametrize("field", FIELDS)
async def test_the_voice_is_found_where_it_was(field: Field) -> None:
    before = scene(said())
    plain, cleaned = await turns(before), await turns(clean(field, before))
    assert len(plain) == len(cleaned) == 2
    for (began, ended), (began_cleaned, ended_cleaned) in zip(plain, cleaned, strict=True):
        assert -40 <= began_cleaned - began <= 60
        assert abs(ended_cleaned - ended) <= 80


async def turns(sound: bytes) -> list[tuple[float, float]]:
    """Begin and end (ms) of what a VAD takes for speech, pauses below half a second bridged."""
    found: list[tuple[float, float]] = []
    for score in await EnergyVad().open().score(sound):
        if score.probability < 0.5:
            continue
        at = score.end_sample * 1000 / RATE
        if found and at - found[-1][1] < 500:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


@pytest.mark.parametrize("field", FIELDS)
def test_its_delay_is_what_it_says(field: Field) -> None:
    # Bursts of a chirp: nothing in it stays, so nothing of it is taken for noise.
    at = np.arange(4 * RATE) / RATE
    before = 8000 * np.sin(2 * np.pi * (300 * at + 400 * at**2)) * (np.sin(2 * np.pi * 3 * at) > 0)
    after = samples(clean(field, pcm(before)))
    part = slice(RATE, 3 * RATE)
    best = max(range(2 * DELAY_SAMPLES), key=lambda late: float(after[part] @ np.roll(before, late)[part]))
    assert abs(best - DELAY_SAMPLES) <= 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=1500), min_size=1, max_size=30))
def test_it_does_not_matter_how_the_sound_is_cut(sizes: list[int]) -> None:
    sound = said()[: 2 * sum(sizes)]
    whole = clean("near_field", sound)
    cut = open_denoiser("near_field")
    out, at = b"", 0
    for size in sizes:
        out += cut.process(sound[at : at + 2 * size])
        at += 2 * size
    assert len(out) == len(whole)
    # The order in which the resamplers add floats depends on a block's length and on the CPU, and with it how
    # they round: by one step, of which the way back up can make two.
    assert not out or np.abs(samples(out) - samples(whole)).max() <= 2
    assert len(out) + len(cut.rest()) == len(sound)
    assert cut.rest() == b""


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="half a sample"):
        open_denoiser("near_field").process(b"\x00")


@pytest.mark.embedded
@pytest.mark.parametrize("field", FIELDS)
def test_a_real_voice_keeps_its_level(field: Field) -> None:
    speech = real_speech("The quick brown fox jumps over the lazy dog.")
    before = scene(speech)
    after = clean(field, before)
    start = int(LEAD_S * RATE)
    spoken = slice(start, start + len(speech) // 2)
    assert abs(decibels(samples(after)[spoken]) - decibels(samples(before)[spoken])) < 1.0


@pytest.mark.embedded
@pytest.mark.parametrize("field", FIELDS)
async def test_words_in_loud_noise_are_followed_to_their_end(field: Field) -> None:
    """What it is for: a detector that goes by loudness loses the words, and keeps them when it is on."""
    before = samples(scene(real_speech("What is the capital city of Portugal?")))
    hiss = noise("hiss", len(before)) * 2000
    plain, cleaned = await turns(pcm(before)), await turns(clean(field, pcm(before + hiss)))
    lost = await turns(pcm(before + hiss))
    assert lost[-1][1] < plain[-1][1] - 800
    assert abs(cleaned[-1][1] - plain[-1][1]) < 450
