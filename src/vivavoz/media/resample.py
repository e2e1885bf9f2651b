"""Streaming conversion between 24 kHz and a rate it divides or multiplies (8 kHz, 48 kHz).

A polyphase FIR of our own, where a general resampler library exists: a streaming one (soxr) hands out
8 kHz -> 24 kHz in bursts of 37 to 60 ms, while here every sample in gives its samples out at once, exactly
``ratio`` times as many, 2 ms late. Positions stay integer arithmetic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_TAPS_PER_PHASE = 32


def _low_pass(ratio: int) -> npt.NDArray[np.float32]:
    """Windowed-sinc low pass at the narrower band's edge; unity gain in the pass band."""
    taps = _TAPS_PER_PHASE * ratio
    position = np.arange(taps) - (taps - 1) / 2
    cutoff = 0.94 / ratio
    kernel = cutoff * np.sinc(cutoff * position) * np.kaiser(taps, 7.0)
    normal: npt.NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normal


class Resampler:
    """Mono PCM16LE at ``source_hz`` -> mono PCM16LE at ``target_hz``; one of them a multiple of the other.

    Raises ``ValueError`` for rates that are not.
    """

    def __init__(self, source_hz: int, target_hz: int) -> None:
        if source_hz <= 0 or target_hz <= 0 or (source_hz % target_hz and target_hz % source_hz):
            raise ValueError(f"cannot resample {source_hz} Hz to {target_hz} Hz: not a whole ratio")
        self._up = max(1, target_hz // source_hz)
        self._down = max(1, source_hz // target_hz)
        kernel = _low_pass(max(self._up, self._down))
        # Rows are phases, columns the history they see; a row's dot product is one output sample.
        self._phases: npt.NDArray[np.float32] = np.ascontiguousarray(
            kernel.reshape(-1, self._up)[::-1] * self._up
        )
        self._history = np.zeros(len(self._phases) - 1, dtype=np.float32)
        self._rest = b""

    def process(self, pcm: bytes | bytearray | memoryview) -> bytes:
        """As much as the input so far gives. What does not fill an output sample waits for the next call."""
        data = self._rest + bytes(pcm) if self._rest else pcm
        if self._up == self._down:
            return bytes(data)
        whole = len(data) // (2 * self._down) * (2 * self._down)
        self._rest = bytes(data[whole:])
        if not whole:
            return b""
        samples = np.frombuffer(data, dtype="<i2", count=whole // 2)
        line = np.concatenate((self._history, samples.astype(np.float32)))
        self._history = line[len(line) - len(self._history) :].copy()
        windows = np.lib.stride_tricks.sliding_window_view(line, len(self._phases))
        out = windows[self._down - 1 :: self._down] @ self._phases
        return bytes(np.clip(np.rint(out), -32768, 32767).astype("<i2"))

    def finish(self) -> bytes:
        """The samples still waiting, padded with silence to a whole output sample."""
        if not self._rest:
            return b""
        return self.process(bytes(2 * self._down - len(self._rest)))
