"""The VAD of real models: what it is asked about, and what a long silence does to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.embedded import require_models
from tests.speech import real_speech
from vivavoz.engines.embedded.downsample import Downsampler
from vivavoz.engines.embedded.silero import FRAME, Silero, SileroState
from vivavoz.models import Store


class Session:
    """In place of the model: each frame is as likely speech as its first sample says."""

    def __init__(self) -> None:
        self.asked = 0

    def run(self, _: None, inputs: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        count = len(inputs["input"])
        self.asked += count
        return inputs["input"][:, -FRAME].reshape(count, 1), inputs["state"] + 1


@pytest.fixture
def model() -> tuple[Silero, Session]:
    silero = Silero.__new__(Silero)
    silero._session = session = Session()
    return silero, session


def frame(likely: float) -> NDArray[np.float32]:
    return np.full(FRAME, likely, np.float32)


def test_nothing_at_all_is_asked_about_for_half_a_second(model: tuple[Silero, Session]) -> None:
    silero, session = model
    state = SileroState()
    for _ in range(1000):
        assert silero.score([state], [frame(0.0)]) == [0.0]
    assert session.asked == 16
    assert not state.memory.any()
    assert silero.score([state], [frame(0.9)]) == [pytest.approx(0.9)]
    assert session.asked == 17


def test_the_least_noise_is_asked_about(model: tuple[Silero, Session]) -> None:
    silero, session = model
    state = SileroState()
    for _ in range(100):
        silero.score([state], [frame(1 / 32768)])
    assert session.asked == 100


def test_a_silent_call_beside_others_changes_nothing_for_them(model: tuple[Silero, Session]) -> None:
    silero, session = model
    states = [SileroState() for _ in range(3)]
    for _ in range(50):
        scores = silero.score(states, [frame(0.4), frame(0.0), frame(0.7)])
        assert scores == [pytest.approx(0.4), 0.0, pytest.approx(0.7)]
    assert session.asked == 50 + 16 + 50


@pytest.mark.embedded
def test_speech_after_a_minute_of_nothing_is_found_as_at_the_beginning() -> None:
    require_models()
    silero = Silero(Store().locate("silero-vad").path())
    sound = Downsampler().feed(real_speech("good morning to all of you"))
    sound = sound[np.flatnonzero(sound)[0] :]
    frames = [sound[at : at + FRAME] for at in range(0, len(sound) - FRAME, FRAME)]
    fresh, waited = SileroState(), SileroState()
    for _ in range(60 * 31):
        silero.score([waited], [frame(0.0)])
    first, later = ([silero.score([state], [each])[0] for each in frames] for state in (fresh, waited))
    assert max(first) > 0.9
    assert later == pytest.approx(first, abs=1e-5)
