"""The voice activity of one call, in the session's own count of samples."""

from __future__ import annotations

from vivavoz.engines.ports import Vad, VadStream
from vivavoz.session.effects import Score
from vivavoz.session.inputs import AudioScored

_AT_ONCE = 48_000
"""Bytes (1 s) that the VAD is given in one go, so that a huge append leaves others their turn."""


class Hearing:
    """Where sound was left out (turn detection was off), the VAD starts afresh: its positions are counted
    from the first sample it was given."""

    def __init__(self, vad: Vad) -> None:
        self._vad = vad
        self._stream: VadStream | None = None
        self._base = 0
        self._next = -1

    async def score(self, effect: Score) -> list[AudioScored]:
        """The frames that this sound completes."""
        if self._stream is None or effect.start_sample != self._next:
            self._stream = self._vad.open()
            self._base = effect.start_sample
        self._next = effect.start_sample + len(effect.pcm) // 2
        scored: list[AudioScored] = []
        for start in range(0, len(effect.pcm), _AT_ONCE):
            for score in await self._stream.score(effect.pcm[start : start + _AT_ONCE]):
                end = self._base + score.end_sample
                scored.append(AudioScored(end_sample=end, probability=score.probability))
        return scored
