"""Voice activity from energy alone: numpy, no model, no state but a noise floor.

Each 20 ms frame's level in the speech band (100 Hz to 8 kHz) is compared with a noise floor that follows the
caller's own background. The floor falls quickly, and rises at a pace set by how noise-like the frame is
(spectral flatness): a fan that is switched on becomes background within a second, while a held vowel or a
test tone stays speech for half a minute. Digital silence (DTX, a muted microphone) scores exactly 0.0 and
teaches the floor nothing, so that the noise around it is not taken for speech when it comes back.

What it cannot do: tell speech from other loud, changing sound (music, a slammed door). That takes a model.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vivavoz.engines.ports import SAMPLE_RATE, Score

FRAME = SAMPLE_RATE // 50
"""Samples in a frame: 480 = 20 ms."""

SILENCE_DB = -85.0
"""Below this nothing was recorded at all (one bit of dither is -90 dBFS)."""
LOWEST_SPEECH_DB = -52.0
"""Frames below this are never speech, however quiet the background (dBFS, RMS)."""
MARGIN_DB = 9.0
"""How far above the floor a frame must be to be as likely speech as not."""
SLOPE_DB = 2.0
"""Decibels from p = 0.5 to p = 0.73."""
RELEASE = 0.55
"""What is left of the last probability one frame later; one frame of hang-over bridges a plosive."""
START_FLOOR_DB = -60.0
LOUDEST_START_FLOOR_DB = -42.0
"""No first frame is taken for a louder background: it may be the hiss that a word begins with."""
FALL = 0.25
"""Share of the way down that the floor goes in one frame."""
SLOWEST_RISE_DB, FASTEST_RISE_DB = 0.02, 0.35
"""Rise of the floor in one frame, for a pure tone and for white noise: 1 and 17.5 dB/s."""
TONAL, NOISY = 0.10, 0.40
"""Spectral flatness of voiced speech and tones at most, of noise at least."""

_BAND = slice(2, 160)  # bins of 50 Hz
_FLOOR_BAND = slice(2, 80)  # flatness is judged where even a telephone has sound
_MIN_POWER = 1e-12


def _dbfs(power: float) -> float:
    return 10.0 * math.log10(power) if power > _MIN_POWER else -120.0


def _measure(frames: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Level in the speech band (dBFS) and spectral flatness (0..1) of each row."""
    spectrum = np.fft.rfft(frames, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    # Parseval: mean square of the samples = 2/N^2 * sum over the positive bins; full scale is 1.
    levels = power[:, _BAND].sum(axis=1) * (2.0 / FRAME**2)
    low = power[:, _FLOOR_BAND] + _MIN_POWER
    flatness = np.exp(np.log(low).mean(axis=1)) / low.mean(axis=1)
    return [_dbfs(level) for level in levels.tolist()], flatness.tolist()


class EnergyVadStream:
    """Voice activity of one call; see the module. State: a noise floor and less than one frame of sound."""

    def __init__(self) -> None:
        self._rest = b""
        self._position = 0
        self._floor: float | None = None
        self._probability = 0.0

    @property
    def floor_db(self) -> float:
        """The background as this stream knows it (dBFS)."""
        return START_FLOOR_DB if self._floor is None else self._floor

    async def score(self, pcm: bytes) -> list[Score]:
        return self.score_now(pcm)

    def score_now(self, pcm: bytes) -> list[Score]:
        """Score the frames that ``pcm`` (mono s16le 24 kHz, even length) completes. Never blocks."""
        data = self._rest + pcm if self._rest else pcm
        count = len(data) // (2 * FRAME)
        self._rest = data[count * 2 * FRAME :]
        if not count:
            return []
        samples = np.frombuffer(data, dtype="<i2", count=count * FRAME).astype(np.float32)
        samples *= 1.0 / 32768.0
        levels, flatness = _measure(samples.reshape(count, FRAME))
        scores: list[Score] = []
        for level, flat in zip(levels, flatness, strict=True):
            self._position += FRAME
            scores.append(Score(self._position, self._judge(level, flat)))
        return scores

    def _judge(self, level: float, flat: float) -> float:
        if level < SILENCE_DB:
            self._probability = 0.0
            return 0.0
        noisiness = min(1.0, max(0.0, (flat - TONAL) / (NOISY - TONAL)))
        if self._floor is None:
            # A call that opens in noise has that noise for its background; one that opens with a voice not.
            background = min(level, LOUDEST_START_FLOOR_DB)
            self._floor = START_FLOOR_DB + noisiness * max(0.0, background - START_FLOOR_DB)
        threshold = max(self._floor + MARGIN_DB, LOWEST_SPEECH_DB)
        instant = 1.0 / (1.0 + math.exp(min(50.0, (threshold - level) / SLOPE_DB)))
        if level < self._floor:
            self._floor += FALL * (level - self._floor)
        else:
            rise = SLOWEST_RISE_DB + noisiness * (FASTEST_RISE_DB - SLOWEST_RISE_DB)
            self._floor = min(level, self._floor + rise)
        # Up at once, down by degrees: the beginning of a word is never late.
        self._probability = max(instant, RELEASE * self._probability)
        return self._probability


class EnergyVad:
    """The :class:`~vivavoz.engines.ports.Vad` of :class:`EnergyVadStream`; costs some 20 us a frame."""

    def open(self) -> EnergyVadStream:
        return EnergyVadStream()


class SpeechMeter:
    """How much of an utterance is sound, for engines that must not be asked about silence. Keeps counts,
    never the audio."""

    def __init__(self) -> None:
        self._stream = EnergyVadStream()
        self._voiced = 0
        self._first: int | None = None
        self._last = 0

    def feed(self, pcm: bytes) -> None:
        """Listen to the next piece of the utterance (mono s16le 24 kHz, any even length)."""
        for score in self._stream.score_now(pcm):
            if score.probability >= 0.5:
                self._voiced += FRAME
                self._last = score.end_sample
                if self._first is None:
                    self._first = score.end_sample - FRAME

    @property
    def voiced_ms(self) -> float:
        """Sum of all frames with sound in them."""
        return self._voiced * 1000 / SAMPLE_RATE

    @property
    def span_ms(self) -> float:
        """From the first frame with sound to the last."""
        return 0.0 if self._first is None else (self._last - self._first) * 1000 / SAMPLE_RATE
