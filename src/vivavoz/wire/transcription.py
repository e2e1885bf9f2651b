"""What a recogniser may say beside the words."""

from __future__ import annotations

from vivavoz.wire.base import Fixed


class LogProb(Fixed, frozen=True):
    """How sure the recogniser is of one token: the natural logarithm of its probability. ``bytes``: the
    token's, in UTF-8, which need not be whole characters."""

    token: str
    logprob: float
    bytes: list[int]

    @classmethod
    def of(cls, token: str, logprob: float) -> LogProb:
        return cls(token=token, logprob=logprob, bytes=list(token.encode()))


class Segment(Fixed, frozen=True):
    """Who said what: ``start`` and ``end`` in seconds from the turn's first sample."""

    speaker: str
    text: str
    start: float
    end: float


__all__ = ["LogProb", "Segment"]
