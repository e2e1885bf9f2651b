"""The voice activity of one call, in the session's own count of samples, without our own echo."""

from __future__ import annotations

from collections.abc import Callable

from vivavoz.call.echo import EchoGuard
from vivavoz.engines.ports import Vad, VadStream
from vivavoz.session.effects import Score
from vivavoz.session.inputs import AudioScored

_AT_ONCE = 48_000
"""Bytes (1 s) that the VAD is given in one go, so that a huge append leaves others their turn."""


class Hearing:
    """Where sound was left out (turn detection was off), the VAD starts afresh: its positions are counted
    from the first sample it was given. ``clock`` (s) times the caller's sound against what was played, where
    :meth:`reject_echo` is asked for."""

    def __init__(self, vad: Vad, clock: Callable[[], float]) -> None:
        self._vad = vad
        self._clock = clock
        self._guard: EchoGuard | None = None
        self._stream: VadStream | None = None
        self._base = 0
        self._next = -1

    def reject_echo(self) -> Callable[[bytes], None]:
        """From now on what is our own voice is not speech; to be told of all that leaves to be heard."""
        guard = self._guard = EchoGuard()
        return lambda pcm: guard.played(pcm, self._clock())

    async def score(self, effect: Score) -> list[AudioScored]:
        """The frames that this sound completes."""
        if self._stream is None or effect.start_sample != self._next:
            self._stream = self._vad.open()
            self._base = effect.start_sample
        self._next = effect.start_sample + len(effect.pcm) // 2
        scored: list[AudioScored] = []
        now = self._clock()
        if self._guard is not None:
            self._guard.heard(effect.pcm, now)
        for start in range(0, len(effect.pcm), _AT_ONCE):
            for score in await self._stream.score(effect.pcm[start : start + _AT_ONCE]):
                end = self._base + score.end_sample
                probability = score.probability
                if self._guard is not None:
                    probability = self._guard.judge(probability, now, self._next - end)
                scored.append(AudioScored(end_sample=end, probability=probability))
        return scored
