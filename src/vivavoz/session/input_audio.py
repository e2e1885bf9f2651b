"""The input audio buffer: what the caller has said and nobody has committed yet.

Positions are samples at 24 kHz since the session's first sample, whether or not the buffer still holds them.
"""

from __future__ import annotations

from vivavoz.wire.base import Data

SAMPLE_BYTES = 2
SAMPLES_PER_MS = 24


def to_ms(samples: int) -> int:
    return samples // SAMPLES_PER_MS


def to_samples(ms: int) -> int:
    return ms * SAMPLES_PER_MS


class InputAudio(Data):
    """A window ``start .. end`` of the caller's sound."""

    start: int = 0
    data: bytearray = bytearray()

    @property
    def end(self) -> int:
        return self.start + len(self.data) // SAMPLE_BYTES

    @property
    def duration_ms(self) -> float:
        return len(self.data) / SAMPLE_BYTES / SAMPLES_PER_MS

    def append(self, pcm: bytes) -> int:
        """Add sound; returns the position of its first sample."""
        position = self.end
        self.data += pcm
        return position

    def slice(self, start: int, end: int) -> bytes:
        """The sound from ``start`` to ``end``, as far as the buffer holds it."""
        first = max(start - self.start, 0) * SAMPLE_BYTES
        last = max(end - self.start, 0) * SAMPLE_BYTES
        return bytes(self.data[first:last])

    def drop_before(self, position: int) -> None:
        """Forget what lies before ``position``."""
        samples = min(position, self.end) - self.start
        if samples > 0:
            del self.data[: samples * SAMPLE_BYTES]
            self.start += samples

    def clear(self) -> None:
        self.start = self.end
        self.data = bytearray()
