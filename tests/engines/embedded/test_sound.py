"""Resampling and features, without any model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoz.engines.embedded.downsample import Downsampler, downsample
from vivavoz.engines.embedded.logmel import log_mel
from vivavoz.engines.embedded.voices import VOICES, shift


def tone(hertz: float, seconds: float = 0.5) -> bytes:
    time = np.arange(int(24_000 * seconds)) / 24_000
    return bytes((np.sin(2 * np.pi * hertz * time) * 20_000).astype("<i2").tobytes())


def decibels(samples: np.ndarray) -> float:
    inner = samples[400:-400]
    return float(20 * np.log10(np.sqrt(np.mean(inner**2)) * np.sqrt(2) * 32768 / 20_000 + 1e-9))


def test_speech_passes_and_what_would_alias_does_not() -> None:
    assert abs(decibels(downsample(tone(300)))) < 0.1
    assert abs(decibels(downsample(tone(5000)))) < 0.5
    assert decibels(downsample(tone(9000))) < -40
    assert decibels(downsample(tone(11000))) < -60


def test_a_click_stays_where_it_was() -> None:
    pcm = np.zeros(4800, np.int16)
    pcm[2400] = 30_000
    assert int(np.argmax(np.abs(downsample(pcm.tobytes())))) == 1600


@settings(max_examples=30)
@given(st.lists(st.integers(0, 700), max_size=20))
def test_any_cutting_gives_the_same_samples_and_holds_none_back_for_long(sizes: list[int]) -> None:
    pcm = np.random.default_rng(1).integers(-20_000, 20_000, sum(sizes), np.int16).tobytes()
    stream, position = Downsampler(), 0
    out = []
    for size in sizes:
        out.append(stream.feed(pcm[2 * position : 2 * (position + size)]))
        position += size
        assert position * 2 / 3 - sum(map(len, out)) < 13
    whole = np.concatenate([*out, stream.flush()])[: len(pcm) // 3] if out else np.zeros(0)
    # A third of a 16-bit step: how a sum of floats rounds depends on the block's length and on the CPU.
    np.testing.assert_allclose(whole, downsample(pcm), atol=1e-5)


def test_features_are_whispers() -> None:
    """Compared with the reference extractor once: equal to the last bit, for noise and for this sweep."""
    time = np.arange(128_000) / 16_000
    sweep = np.sin(2 * np.pi * (200 * time + 200 * time**2)).astype(np.float32)
    features = log_mel(sweep)
    assert features.shape == (80, 800)
    assert features.max() - features.min() == pytest.approx(2.0, abs=1e-5)
    loudest = features.argmax(axis=0)
    assert (np.diff(loudest[5:-5]) >= 0).all()
    assert (loudest[10], loudest[400], loudest[790]) == LOUDEST


LOUDEST = (5, 41, 57)


def test_every_voice_of_the_protocol_has_a_sound_of_its_own() -> None:
    hosted = {"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"}
    assert hosted <= set(VOICES)
    factors = sorted(VOICES.values())
    assert all(after / before > 1.035 for before, after in pairwise(factors))
    assert all(0.8 <= factor <= 1.15 for factor in VOICES.values())
    assert shift("nobody") == shift("alloy")
    assert shift("Cedar") == VOICES["cedar"]
