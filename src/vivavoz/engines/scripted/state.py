"""What one call's scripted engines remember, where the ports' arguments do not tell it."""

from __future__ import annotations

from vivavoz.engines.scripted.brain import Answer
from vivavoz.engines.scripted.plot import spoken_turn
from vivavoz.engines.scripted.script import Script, Turn


class CallState:
    """Counts the turns that were spoken to the end, and knows the answer given last.

    Recognition has no items to find its place by, and a voice has only words; the model itself is a pure
    function of the items and needs none of this.
    """

    def __init__(self) -> None:
        self._spoken = 0
        self._judged = 0
        self.answer = Answer()

    def next_spoken_turn(self, script: Script) -> Turn | None:
        turn = spoken_turn(script, self._spoken)
        self._spoken += 1
        return turn

    def next_probability(self, script: Script) -> float:
        given = script.turn_probability
        if not isinstance(given, list):
            return given
        probability = given[min(self._judged, len(given) - 1)]
        self._judged += 1
        return probability
