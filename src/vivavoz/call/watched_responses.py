"""Responses as a call's watch follows them: from ``response.created`` until they are over and were heard."""

from __future__ import annotations

from typing import Any

from vivavoz.call.stages import ResponseStages, TurnStages, timings_of
from vivavoz.call.watched_turns import MAX_OPEN, Tell, WatchedTurns


class _Answer:
    """A response, the turn it answers, and whether its sound is still to begin."""

    def __init__(self, stages: ResponseStages, turn: TurnStages | None) -> None:
        self.stages = stages
        self.turn = turn
        self.unheard = False


class WatchedResponses:
    """Those of one call that are not over. ``plays``: whether it is told when their sound begins (WebRTC)."""

    def __init__(self, tell: Tell, turns: WatchedTurns) -> None:
        self.plays = False
        self._tell = tell
        self._turns = turns
        self._answers: dict[str, _Answer] = {}

    def get(self, response_id: str) -> ResponseStages | None:
        answer = self._answers.get(response_id)
        return answer.stages if answer is not None else None

    def forget(self) -> None:
        self._answers.clear()

    def close(self) -> None:
        for answer in list(self._answers.values()):
            self._over(answer)

    def created(self, now: float, event: Any) -> None:
        stages = ResponseStages(response_id=event.response.id, created=now)
        stages.out_of_band = event.response.conversation_id is None
        turn = None if stages.out_of_band else self._turns.answered()
        if turn is not None:
            stages.item_id = turn.item_id
        self._answers[stages.response_id] = _Answer(stages, turn)
        if len(self._answers) > MAX_OPEN:
            self._over(next(iter(self._answers.values())))

    def sounded(self, event: Any) -> None:
        answer = self._answers.get(event.response_id)
        if answer is not None and self.plays and answer.stages.first_packet is None:
            answer.unheard = True

    def playing(self, now: float, event: Any) -> None:
        if (answer := self._answers.get(event.response_id)) is not None:
            answer.stages.first_packet, answer.unheard = now, False
            if answer.stages.ended is not None:
                self._over(answer)

    def done(self, now: float, event: Any) -> None:
        if (answer := self._answers.get(event.response.id)) is None:
            return
        stages, response = answer.stages, event.response
        stages.ended, stages.status = now, response.status
        if (details := response.status_details) is not None:
            stages.reason = details.error.code if details.error else details.reason or None
        if response.usage is not None:
            stages.input_tokens = response.usage.input_tokens
            stages.output_tokens = response.usage.output_tokens
        if not answer.unheard:
            self._over(answer)

    def flushed(self) -> None:
        """What was not heard by now never is."""
        for answer in list(self._answers.values()):
            answer.unheard = False
            if answer.stages.ended is not None:
                self._over(answer)

    def _over(self, answer: _Answer) -> None:
        stages, turn = answer.stages, answer.turn
        if self._answers.pop(stages.response_id, None) is None:
            return
        self._tell(lambda listener: listener.response(stages))
        if turn is not None:
            timings = timings_of(turn, stages)
            self._tell(lambda listener: listener.timings(timings))
