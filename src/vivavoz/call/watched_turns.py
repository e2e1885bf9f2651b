"""A caller's turns as a call's watch follows them: from the first sound, or the commit, to the transcript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vivavoz.call.stages import JobStages, StageListener, TurnOutcome, TurnStages, note

MAX_OPEN = 64
"""Turns, and responses, that are followed at once; of more, the oldest are told as they are."""

Tell = Callable[[Callable[[StageListener], None]], None]
"""Calls every listener."""


class WatchedTurn:
    """A turn. ``hearing``: the job that transcribes it; ``deaf``: that job gave up."""

    def __init__(self, stages: TurnStages) -> None:
        self.stages = stages
        self.committed = False
        self.hearing: int | None = None
        self.deaf = False


class WatchedTurns:
    """Those of one call that are not over.

    ``voiced_at``: when the caller's last speech was heard. ``beginning``: a job, and its owner, that began in
    this step for a turn that is not shown yet.
    """

    def __init__(self, tell: Tell) -> None:
        self.voiced_at: float | None = None
        self.beginning: tuple[str, JobStages] | None = None
        self._tell = tell
        self._turns: dict[str, WatchedTurn] = {}
        self._open: str | None = None
        self._silence: str | None = None
        self._unanswered: list[TurnStages] = []

    def get(self, item_id: str) -> WatchedTurn | None:
        return self._turns.get(item_id)

    def forget(self) -> None:
        self._turns.clear()
        self._unanswered.clear()
        self._open = None

    def close(self, now: float) -> None:
        for turn in list(self._turns.values()):
            self.over(now, turn, "discarded")

    def answered(self) -> TurnStages | None:
        """The turn that a new response answers: the last of those that are unanswered, for all of them."""
        turn = self._unanswered[-1] if self._unanswered else None
        self._unanswered.clear()
        return turn

    def speech_started(self, now: float, event: Any) -> None:
        self.abandon(now)
        self._take(event.item_id, started_ms=event.audio_start_ms, started=now)
        self._open = event.item_id

    def speech_stopped(self, event: Any) -> None:
        if (turn := self._turns.get(event.item_id)) is not None:
            turn.stages.stopped_ms = event.audio_end_ms

    def committed(self, now: float, event: Any) -> None:
        if event.item_id == self._silence:
            return
        self._open = None
        turn = self._turns.get(event.item_id)
        if turn is None:
            turn = self._take(event.item_id)
            if self.beginning is not None and self.beginning[0] == event.item_id:
                job = self.beginning[1]
                turn.hearing = job.job
                note(turn.stages, job)
        stages = turn.stages
        if stages.started is None:
            stages.spoken = now
        else:
            stages.spoken = self.voiced_at
            if stages.paused is None:
                stages.paused = now
        stages.decided, turn.committed = now, True
        self._unanswered.append(stages)
        del self._unanswered[:-MAX_OPEN]
        if turn.hearing is None:
            self.over(now, turn, "failed" if turn.deaf else "understood")

    def timed_out(self, event: Any) -> None:
        """Nobody spoke: what is committed next is silence, and no turn."""
        self._silence = event.item_id

    def abandon(self, now: float) -> None:
        """The open turn, if there is one, was never committed."""
        turn = self._turns.get(self._open or "")
        self._open = None
        if turn is not None and not turn.committed:
            self.over(now, turn, "discarded")

    def unheard(self, now: float, turn: WatchedTurn, job: JobStages) -> None:
        """The recogniser is gone without a final transcript."""
        turn.hearing, turn.deaf, turn.stages.code = None, True, job.code
        if job.outcome == "cancelled":
            self.over(now, turn, "discarded")
        elif turn.committed:
            self.over(now, turn, "failed" if job.outcome == "failed" else "wordless")

    def over(self, now: float | None, turn: WatchedTurn, outcome: TurnOutcome) -> None:
        stages = turn.stages
        if self._turns.pop(stages.item_id, None) is None:
            return
        stages.ended, stages.outcome = now, outcome
        if outcome in ("wordless", "discarded") and stages in self._unanswered:
            self._unanswered.remove(stages)
        self._tell(lambda listener: listener.turn(stages))

    def _take(self, item_id: str, **members: Any) -> WatchedTurn:
        turn = self._turns[item_id] = WatchedTurn(TurnStages(item_id=item_id, **members))
        if len(self._turns) > MAX_OPEN:
            self.over(None, next(iter(self._turns.values())), "discarded")
        return turn
