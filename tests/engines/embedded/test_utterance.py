"""How an utterance is worked on while it is spoken: drafts, and what is not done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from tests.virtual_time import run_virtual
from vivavoz.engines.embedded import segments
from vivavoz.engines.embedded.downsample import Samples
from vivavoz.engines.embedded.silero import SileroState
from vivavoz.engines.embedded.utterance import transcribe
from vivavoz.engines.ports import Transcript

FRAME_MS = 32
SPOKEN, SILENT = np.full(768, 8000, "<i2").tobytes(), bytes(1536)
"""One frame of sound at 24 kHz."""


class Recogniser:
    """Hears one word for each 16 frames of speech. ``takes_s`` for each segment, one at a time; ``lags``:
    frames of silence behind a voice that it takes for speech, as voice activity does."""

    def __init__(
        self, *, spare: bool, takes_s: float = 0.05, alone: bool | None = None, lags: int = 0
    ) -> None:
        self.alone = spare if alone is None else alone
        self.spare = spare
        self.lags = lags
        self.quiet = 99
        self.takes_s = takes_s
        self.asked: list[int] = []
        self.busy = 0

    @property
    def idle(self) -> bool:
        return not self.busy

    async def score(self, state: SileroState, samples: Samples) -> list[float]:
        scores = []
        for frame in samples.reshape(-1, segments.FRAME):
            self.quiet = 0 if np.abs(frame).max() > 0.1 else self.quiet + 1
            scores.append(float(self.quiet <= self.lags))
        return scores

    async def recognise(self, samples: Samples, speech: segments.Speech) -> str:
        self.asked.append(speech.frames)
        self.busy += 1
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.busy -= 1
        return " ".join(["word"] * (speech.frames // 16))


def hear(recogniser: Recogniser, *pieces: tuple[bytes, int], live: bool = True) -> list[Transcript]:
    """What is told of sound that is spoken frame by frame, or (not ``live``) comes all at once."""

    async def audio() -> AsyncIterator[bytes]:
        for frame, count in pieces:
            for _ in range(count):
                if live:
                    await asyncio.sleep(FRAME_MS / 1000)
                yield frame

    async def run() -> list[Transcript]:
        return [each async for each in transcribe(recogniser, audio())]

    return run_virtual(run())


def drafts(told: list[Transcript]) -> list[str]:
    return [each.text for each in told if each.draft]


def test_a_pause_brings_a_draft_and_the_end_needs_no_more_work() -> None:
    recogniser = Recogniser(spare=False)
    told = hear(recogniser, (SPOKEN, 48), (SILENT, 8))
    assert drafts(told) == ["word word word"]
    assert told[-1] == Transcript("word word word", final=True)
    assert len(recogniser.asked) == 1


def test_with_time_to_spare_unfinished_speech_has_drafts_that_grow() -> None:
    recogniser = Recogniser(spare=True)
    told = hear(recogniser, (SPOKEN, 80), (SILENT, 8))
    found = drafts(told)
    assert len(found) >= 4
    assert found == sorted(found, key=len)
    assert found[-1] == told[-1].text == "word word word word word"
    # Each half second, and the pause.
    assert len(recogniser.asked) <= 80 // 16 + 1


def test_without_it_there_is_none_before_the_pause() -> None:
    recogniser = Recogniser(spare=False)
    hear(recogniser, (SPOKEN, 80), (SILENT, 8))
    assert recogniser.asked == [80]


def test_a_caller_who_goes_on_is_heard_to_the_end() -> None:
    for spare in (False, True):
        told = hear(Recogniser(spare=spare), (SPOKEN, 32), (SILENT, 6), (SPOKEN, 32), (SILENT, 8))
        assert "word word" in drafts(told)
        assert told[-1] == Transcript("word word word word", final=True)


def test_sound_that_was_there_all_along_is_recognised_once() -> None:
    recogniser = Recogniser(spare=True)
    told = hear(recogniser, (SPOKEN, 80), (SILENT, 2), live=False)
    assert recogniser.asked == [80]
    assert drafts(told) == []


def test_a_pause_is_heard_before_voice_activity_has_faded_and_the_end_is_still_the_same() -> None:
    for lags in (0, 4):
        recogniser = Recogniser(spare=False, alone=True, lags=lags)
        told = hear(recogniser, (SPOKEN, 48), (SILENT, 4), (SILENT, 3))
        assert drafts(told) == ["word word word"]
        assert told[-1] == Transcript("word word word", final=True)
        # Made after one silent frame, which voice activity took for speech.
        assert recogniser.asked == [48 + min(lags, 1)]


def test_soft_speech_behind_loud_speech_is_heard() -> None:
    soft = np.full(768, 800, "<i2").tobytes()
    recogniser = Recogniser(spare=False, alone=True)
    recogniser.score = lambda state, samples: _loud(samples, 0.01)  # type: ignore[method-assign]
    told = hear(recogniser, (SPOKEN, 32), (SILENT, 4), (soft, 16), (SILENT, 8))
    assert drafts(told) == ["word word", "word word word"]
    assert told[-1].text == "word word word"


async def _loud(samples: Samples, level: float) -> list[float]:
    return [float(np.abs(frame).max() > level) for frame in samples.reshape(-1, segments.FRAME)]


def test_silence_has_neither_draft_nor_words() -> None:
    recogniser = Recogniser(spare=True)
    assert hear(recogniser, (SILENT, 60)) == [Transcript("", final=True)]
    assert recogniser.asked == []
