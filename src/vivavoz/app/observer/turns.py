"""The turns of a call, and when what happened in them, by the arrival of their events."""

from __future__ import annotations

from vivavoz.app.observer.fields import identifier, measured, members, text
from vivavoz.app.observer.ports import Event, Marks, Stages, Turn

MAX_TURNS = 500
STAGES = Stages.__struct_fields__


class Turns:
    """``log``: the latest turns; ``count``: all there ever were."""

    def __init__(self, log: list[Turn]) -> None:
        self.log = log
        self.count = 0
        self.active: set[str] = set()
        """Responses of the conversation that are being made."""
        self._by_response: dict[str, Turn] = {}
        self._by_item: dict[str, Turn] = {}
        self._spoken_by: dict[str, str] = {}

    def speech_stopped(self, at: float, event: Event) -> None:
        if item_id := identifier(event, "item_id"):
            turn = self._by_item.get(item_id)
            if turn is not None and turn.response_id is None:
                turn.at = at
            elif turn is None:
                self._by_item[item_id] = self._new(at, item_id)

    def committed(self, at: float, event: Event) -> None:
        if (turn := self._of_item(event)) and turn.marks.committed_ms is None:
            turn.marks.committed_ms = _since(turn, at)

    def transcribed(self, at: float, event: Event) -> None:
        if (turn := self._of_item(event)) and turn.marks.transcript_ms is None:
            turn.marks.transcript_ms = _since(turn, at)

    def response_created(self, at: float, response: Event) -> None:
        """Out of band (``conversation_id`` null) is no turn of the conversation."""
        response_id = identifier(response, "id")
        if response_id is None or is_out_of_band(response) or response_id in self._by_response:
            return
        turn = self.log[-1] if self.log else None
        if turn is None or turn.response_id is not None:
            turn = self._new(at, None)
        turn.response_id, turn.status = response_id, "in_progress"
        turn.marks.response_created_ms = _since(turn, at)
        self._by_response[response_id] = turn
        self.active.add(response_id)

    def item_added(self, event: Event) -> None:
        item_id, response_id = identifier(members(event, "item"), "id"), identifier(event, "response_id")
        if item_id and response_id in self._by_response and response_id:
            self._spoken_by[item_id] = response_id
            while len(self._spoken_by) > MAX_TURNS:
                del self._spoken_by[next(iter(self._spoken_by))]

    def words(self, at: float, event: Event) -> None:
        if (turn := self._of_response(event)) and turn.marks.first_words_ms is None:
            turn.marks.first_words_ms = _since(turn, at)

    def sound(self, at: float, event: Event) -> None:
        if (turn := self._of_response(event)) and turn.marks.first_audio_ms is None:
            turn.marks.first_audio_ms = _since(turn, at)

    def silenced(self, event: Event) -> None:
        if turn := self._of_response(event):
            turn.interrupted = True

    def truncated(self, event: Event) -> None:
        response_id = self._spoken_by.get(identifier(event, "item_id") or "")
        if response_id in self._by_response and response_id:
            self._by_response[response_id].interrupted = True

    def response_done(self, at: float, response: Event) -> None:
        response_id = identifier(response, "id") or ""
        self.active.discard(response_id)
        turn = self._by_response.get(response_id)
        if turn is None or turn.marks.done_ms is not None:
            return
        turn.status = text(response, "status")[:32] or "completed"
        turn.marks.done_ms = _since(turn, at)
        if text(members(response, "status_details"), "reason") == "turn_detected":
            turn.interrupted = True

    def timings(self, event: Event) -> None:
        if turn := self._of_response(event):
            turn.stages = Stages(**{name: measured(event, name) for name in STAGES})

    @property
    def unfinished(self) -> int:
        """The number of the first turn that is not over, be it the next."""
        over = not self.log or self.log[-1].marks.done_ms is not None
        return self.count + 1 if over else self.count

    def forget_times(self, first: int = 0) -> None:
        """Of the turns from number ``first`` on: what was replayed did not happen when it arrived."""
        for turn in self.log:
            if turn.n >= first:
                turn.marks = Marks()

    def _of_item(self, event: Event) -> Turn | None:
        return self._by_item.get(identifier(event, "item_id") or "")

    def _of_response(self, event: Event) -> Turn | None:
        return self._by_response.get(identifier(event, "response_id") or "")

    def _new(self, at: float, item_id: str | None) -> Turn:
        if self.log and self.log[-1].response_id is None:
            self.log[-1].status = "unanswered"
        self.count += 1
        turn = Turn(n=self.count, item_id=item_id, at=at)
        self.log.append(turn)
        if len(self.log) > MAX_TURNS:
            oldest = self.log.pop(0)
            self._by_item.pop(oldest.item_id or "", None)
            self._by_response.pop(oldest.response_id or "", None)
            self.active.discard(oldest.response_id or "")
        return turn


def is_out_of_band(response: Event) -> bool:
    return "conversation_id" in response and response["conversation_id"] is None


def _since(turn: Turn, at: float) -> int:
    return max(0, round(1000 * (at - turn.at)))
