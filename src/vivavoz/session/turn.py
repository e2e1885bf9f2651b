"""When the caller starts and stops speaking.

Counted in samples received, never in wall time: a turn is the same however fast its sound arrives. The
machine knows nothing of items, responses or events; it says what it found and the rules act on it.
"""

from __future__ import annotations

from enum import Enum

from vivavoz.session.input_audio import to_samples
from vivavoz.wire.base import Data
from vivavoz.wire.options import SemanticVad, ServerVad, TurnDetection

ONSET_MS = 40
"""This much speech in a row starts a turn: longer than a click, a frame or two of any VAD."""

HYSTERESIS = 0.15
"""Once speaking, a frame counts as silence only this far below the threshold (Silero's own rule)."""

JUDGE_AFTER_MS = 200
"""Semantic VAD asks the turn detector at every pause of this length."""

COMPLETE = 0.5
"""The turn detector's probability from which a turn is complete."""

MAX_WAIT_MS = {"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000}
"""Semantic VAD's longest patience, by eagerness (Realtime reference, turn detection)."""

SEMANTIC_THRESHOLD = 0.5
SEMANTIC_PADDING_MS = 300


class Heard(Enum):
    """What one scored frame changed."""

    NOTHING = 0
    STARTED = 1
    PAUSED = 2
    """Semantic VAD only: silent long enough to ask whether the turn is complete."""
    RESUMED = 3
    STOPPED = 4


class Phase(Enum):
    LISTENING = 0
    SPEAKING = 1
    PAUSING = 2


class Turn(Data):
    """``started``: first sample of the onset; ``voiced``: the end of the last frame that was speech."""

    phase: Phase = Phase.LISTENING
    scored: int = 0
    started: int = 0
    voiced: int = 0

    @classmethod
    def listening(cls, at: int) -> Turn:
        """A machine that begins to listen at sample ``at``."""
        return cls(scored=at, started=at, voiced=at)

    def hear(self, end: int, probability: float, rule: TurnDetection) -> Heard:
        """One frame that ends at sample ``end``."""
        self.scored = end
        threshold = rule.threshold if isinstance(rule, ServerVad) else SEMANTIC_THRESHOLD
        match self.phase:
            case Phase.LISTENING:
                return self._listen(end, probability >= threshold)
            case Phase.SPEAKING | Phase.PAUSING:
                return self._follow(end, probability >= threshold - HYSTERESIS, rule)

    def _listen(self, end: int, speech: bool) -> Heard:
        if not speech:
            self.started = end
            return Heard.NOTHING
        if end - self.started < to_samples(ONSET_MS):
            return Heard.NOTHING
        self.phase, self.voiced = Phase.SPEAKING, end
        return Heard.STARTED

    def _follow(self, end: int, speech: bool, rule: TurnDetection) -> Heard:
        if speech:
            self.voiced = end
            if self.phase is Phase.PAUSING:
                self.phase = Phase.SPEAKING
                return Heard.RESUMED
            return Heard.NOTHING
        silence = end - self.voiced
        if isinstance(rule, SemanticVad):
            if silence >= to_samples(MAX_WAIT_MS[rule.eagerness]):
                return Heard.STOPPED
            if self.phase is Phase.SPEAKING and silence >= to_samples(JUDGE_AFTER_MS):
                self.phase = Phase.PAUSING
                return Heard.PAUSED
            return Heard.NOTHING
        return Heard.STOPPED if silence >= to_samples(rule.silence_duration_ms) else Heard.NOTHING

    def end(self, at: int) -> None:
        """The turn is over: listen again from ``at``."""
        self.phase, self.started, self.voiced = Phase.LISTENING, at, at


def padding_samples(rule: TurnDetection) -> int:
    """How much sound from before the onset belongs to the turn."""
    return to_samples(rule.prefix_padding_ms if isinstance(rule, ServerVad) else SEMANTIC_PADDING_MS)
