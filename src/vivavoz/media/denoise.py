"""Noise reduction of what a caller sends (``audio.input.noise_reduction``): WebRTC's suppressor, as a stream.

The port is small, so that another suppressor can take its place. This one works on 10 ms at 16 kHz, which is
all that recognisers and voice detectors hear; sound above 8 kHz goes with the noise. As many samples come out
as went in, :data:`DELAY_SAMPLES` late.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Literal, Protocol

from vivavoz.media.resample import Resampler

Field = Literal["near_field", "far_field"]

DELAY_SAMPLES = 223
"""How much later sound comes out (24 kHz; 9.3 ms): the suppressor's overlap of 6 ms, and the resamplers'."""

FRAME_BYTES = 480
"""10 ms at 24 kHz: less than that waits for what follows it."""

_INNER_FRAME = 320
_LEVELS: dict[Field, int] = {"near_field": 2, "far_field": 4}
"""The suppressor's levels go from 1 (6 dB) to 4 (21 dB). A headset has little noise, and its speech shall
stay as it is; a room has more."""


class Denoiser(Protocol):
    """One caller's sound, in order. PCM is mono s16le at 24 kHz."""

    def process(self, pcm: bytes) -> bytes:
        """The cleaned sound of all whole frames so far; what does not fill one waits. Raises ``ValueError``
        for half a sample."""
        ...

    def rest(self) -> bytes:
        """What waits, as it came; nothing waits then."""
        ...


@cache
def available() -> bool:
    """Whether the library is installed here."""
    return importlib.util.find_spec("webrtc_noise_gain") is not None


def open_denoiser(field: Field) -> Denoiser:
    """A denoiser that has heard nothing yet. Raises ``ImportError`` where the library is not installed."""
    return WebRtcDenoiser(_LEVELS[field])


class WebRtcDenoiser:
    def __init__(self, level: int) -> None:
        from webrtc_noise_gain import AudioProcessor  # type: ignore[import-untyped]

        self._suppressor = AudioProcessor(0, level)
        # 24 kHz to 16 kHz is no whole ratio: over 48 kHz, where the frames stay whole.
        self._down = (Resampler(24_000, 48_000), Resampler(48_000, 16_000))
        self._up = (Resampler(16_000, 48_000), Resampler(48_000, 24_000))
        self._waiting = b""

    def process(self, pcm: bytes) -> bytes:
        if len(pcm) % 2:
            raise ValueError("half a sample")
        data = self._waiting + pcm
        whole = len(data) // FRAME_BYTES * FRAME_BYTES
        self._waiting = data[whole:]
        if not whole:
            return b""
        narrow = self._down[1].process(self._down[0].process(data[:whole]))
        clean = b"".join(
            self._suppressor.Process10ms(narrow[at : at + _INNER_FRAME]).audio
            for at in range(0, len(narrow), _INNER_FRAME)
        )
        return self._up[1].process(self._up[0].process(clean))

    def rest(self) -> bytes:
        waiting, self._waiting = self._waiting, b""
        return waiting
