"""How much of what we send is lost, as the peer's reports tell (RFC 3550 section 6.4.1). Pure."""

from __future__ import annotations

_WEIGHT = 0.5
"""Of a new report against those before: one lost packet in two seconds is no lossy path yet."""
_LOSSY = 0.02
_CLEAN = 0.005
_CLEAN_REPORTS = 5
"""So many in a row before redundancy is given up again: losses come in spells."""


class LossWatch:
    """``lossy``: redundancy in the packets is worth its price. ``percent``: what the encoder should reckon
    with."""

    def __init__(self) -> None:
        self.lossy = False
        self._share = 0.0
        self._clean = 0

    @property
    def percent(self) -> int:
        return min(30, max(5, round(self._share * 100)))

    def report(self, fraction_lost: int) -> None:
        """One report: ``fraction_lost`` of 256 since the one before."""
        self._share += _WEIGHT * (fraction_lost / 256 - self._share)
        self._clean = self._clean + 1 if self._share < _CLEAN else 0
        if self._share >= _LOSSY:
            self.lossy = True
        elif self._clean >= _CLEAN_REPORTS:
            self.lossy = False
