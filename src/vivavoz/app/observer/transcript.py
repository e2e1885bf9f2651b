"""The conversation's items in their order, with what was said and what of it was heard.

Order is ``previous_item_id``'s, not the order of arrival: an item is known from its first speech or word, and
takes its place when the service names it. Transcripts may come at any time, before the item or long after it.
"""

from __future__ import annotations

from typing import TypeVar

from vivavoz.app.observer.fields import identifier, integer, members, objects, text
from vivavoz.app.observer.ports import Event, Line

_T = TypeVar("_T")

MAX_LINES = 500
MAX_TEXT = 20_000
"""Characters of one item."""
MAX_PARTS = 16

FIRST_PACE = 15.0
"""Characters a second of unhurried speech: how far a voice has come, until it has been timed."""
_OPEN = ("in_progress", "incomplete")
_STATUSES = ("in_progress", "completed", "incomplete", "failed", "deleted")


class Transcript:
    """``lines`` is the conversation, the oldest items forgotten."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self._by_id: dict[str, Line] = {}
        self._parts: dict[str, dict[int, str]] = {}
        self._cut: set[str] = set()
        self._started: dict[str, float] = {}
        self._said_by: dict[str, list[str]] = {}
        self._pace = FIRST_PACE
        self.transcribes: bool | None = None
        """Whether the caller's speech is put into words; None: not known."""

    # ------------------------------------------------------------------------------------ items

    def speech_started(self, at: float, event: Event) -> None:
        if (item_id := identifier(event, "item_id")) and item_id not in self._by_id:
            self._line(item_id, at, role="user")

    def speech_stopped(self, at: float, event: Event) -> None:
        if line := self._known(event):
            line.until = at

    def committed(self, at: float, event: Event) -> None:
        if item_id := identifier(event, "item_id"):
            self._line(item_id, at, role="user")
            self._place(item_id, event)

    def added(self, at: float, event: Event) -> None:
        if item_id := self._item(at, members(event, "item")):
            self._place(item_id, event)

    def done(self, at: float, event: Event) -> None:
        """Its ``previous_item_id`` may be null although ``added`` had one: only ``added`` places an item."""
        item = members(event, "item")
        known = identifier(item, "id") in self._by_id
        if (item_id := self._item(at, item)) and not known and event.get("previous_item_id") is not None:
            self._place(item_id, event)

    def retrieved(self, at: float, event: Event) -> None:
        """Of a truncated item the service may tell which words it kept: those were heard."""
        item = members(event, "item")
        line = self._by_id.get(identifier(item, "id") or "")
        if line is None:
            return
        kept = "".join(_words(part) for part in objects(item, "content", MAX_PARTS)).rstrip()
        if line.item_id in self._cut and kept and line.text.startswith(kept):
            line.heard = kept

    def deleted(self, at: float, event: Event) -> None:
        if line := self._known(event):
            line.status, line.final = "deleted", True

    def in_response(self, at: float, event: Event) -> None:
        """An item of a response, which may be out of band: such an item is not part of the conversation."""
        item_id = identifier(members(event, "item"), "id")
        response_id = identifier(event, "response_id")
        if item_id and response_id:
            items = self._said_by.setdefault(response_id, [])
            if item_id not in items and len(items) < MAX_PARTS:
                items.append(item_id)
            _forget_oldest(self._said_by)
        if item_id in self._by_id:
            self._item(at, members(event, "item"))

    def _item(self, at: float, item: Event) -> str | None:
        item_id = identifier(item, "id")
        if item_id is None:
            return None
        line = self._line(
            item_id, at, role=text(item, "role")[:32], kind=text(item, "type")[:64] or "message"
        )
        status = text(item, "status")
        if status in _STATUSES and line.status in _OPEN:
            line.status = status
        elif not status and line.status == "in_progress" and line.kind != "message":
            line.status = "completed"
        spoken = False
        for index, part in enumerate(objects(item, "content", MAX_PARTS)):
            spoken = spoken or text(part, "type") == "input_audio"
            if words := _words(part):
                self._say(line, index, words)
        if line.kind == "function_call":
            self._say(line, 0, f"{text(item, 'name')[:128]}({text(item, 'arguments')[:MAX_TEXT]})")
        elif line.kind == "function_call_output":
            self._say(line, 0, text(item, "output"))
        if line.status != "in_progress" and not (spoken and self.transcribes is not False):
            line.final = True
        return item_id

    # ------------------------------------------------------------------------------------ words

    def transcribed(self, at: float, event: Event, *, delta: bool) -> None:
        if item_id := identifier(event, "item_id"):
            line = self._line(item_id, at, role="user")
            words = text(event, "delta" if delta else "transcript")
            self._say(line, integer(event, "content_index"), words, more=delta)
            line.final = line.final or not delta

    def not_transcribed(self, at: float, event: Event) -> None:
        if item_id := identifier(event, "item_id"):
            self._line(item_id, at, role="user").final = True

    def answered(self, event: Event, name: str, *, delta: bool) -> None:
        """Words of the model, of an item that the conversation has."""
        if line := self._known(event):
            self._say(line, integer(event, "content_index"), text(event, name), more=delta)

    def _say(self, line: Line, part: int, words: str, *, more: bool = False) -> None:
        parts = self._parts.setdefault(line.item_id, {})
        if part >= MAX_PARTS:
            return
        parts[part] = ((parts.get(part, "") + words) if more else words)[:MAX_TEXT]
        joined = parts[part] if len(parts) == 1 else "".join(parts[index] for index in sorted(parts))
        line.text = joined[:MAX_TEXT]

    # ------------------------------------------------------------------------------------ hearing

    def playing(self, at: float, event: Event) -> None:
        if response_id := identifier(event, "response_id"):
            self._started[response_id] = at
            _forget_oldest(self._started)

    def played(self, at: float, event: Event) -> None:
        """All of it was heard: its length teaches how fast this voice speaks."""
        response_id = identifier(event, "response_id") or ""
        since = self._started.pop(response_id, None)
        lines = self._lines_of(response_id)
        for line in lines:
            line.until = at
        length = sum(len(line.text) for line in lines)
        if since is not None and at - since > 1 and length > 20:
            self._pace = 0.5 * self._pace + 0.5 * length / (at - since)

    def silenced(self, at: float, event: Event) -> None:
        """Its sound was thrown away while it was played: the rest was not heard."""
        response_id = identifier(event, "response_id") or ""
        since = self._started.pop(response_id, None)
        heard_ms = round(1000 * max(0.0, at - since)) if since is not None else 0
        for line in self._lines_of(response_id):
            line.until = at
            if line.item_id not in self._cut:
                heard_ms = self._cut_at(line, heard_ms)

    def truncated(self, at: float, event: Event) -> None:
        if line := self._known(event):
            line.until = line.until or at
            self._cut_at(line, integer(event, "audio_end_ms"))

    def _cut_at(self, line: Line, heard_ms: int) -> int:
        """Returns the ms that are left for what was to be played next."""
        self._cut.add(line.item_id)
        characters = round(heard_ms / 1000 * self._pace)
        line.heard_ms = heard_ms
        line.heard = line.text[: _word_end(line.text, characters)] if characters else ""
        return max(0, heard_ms - round(1000 * len(line.text) / self._pace))

    def _lines_of(self, response_id: str) -> list[Line]:
        known = (self._by_id.get(item_id) for item_id in self._said_by.get(response_id, ()))
        return [line for line in known if line is not None and line.kind == "message"]

    # ------------------------------------------------------------------------------------ order

    def _known(self, event: Event) -> Line | None:
        return self._by_id.get(identifier(event, "item_id") or "")

    def _line(self, item_id: str, at: float, *, role: str, kind: str = "message") -> Line:
        line = self._by_id.get(item_id)
        if line is None:
            line = Line(item_id=item_id, role=role, kind=kind, at=at)
            self._by_id[item_id] = line
            self.lines.append(line)
            if len(self.lines) > MAX_LINES:
                self._forget(self.lines[0])
        else:
            line.role, line.kind = role or line.role, kind
        return line

    def _place(self, item_id: str, event: Event) -> None:
        """``previous_item_id`` null means that it is the first; absent or unknown, that nothing is known."""
        if "previous_item_id" not in event:
            return
        line = self._by_id.get(item_id)
        previous = self._by_id.get(identifier(event, "previous_item_id") or "")
        if line is None or line is previous:
            return
        first = event["previous_item_id"] in (None, "root")
        if previous is None and not first:
            return
        self.lines.remove(line)
        self.lines.insert(self.lines.index(previous) + 1 if previous else 0, line)

    def _forget(self, line: Line) -> None:
        self.lines.remove(line)
        self._by_id.pop(line.item_id, None)
        self._parts.pop(line.item_id, None)
        self._cut.discard(line.item_id)


def _words(part: Event) -> str:
    return text(part, "text") or text(part, "transcript")


def _word_end(words: str, position: int) -> int:
    """Where ``words`` may be cut near ``position``: at the end of the word that contains it."""
    while position < len(words) and not words[position].isspace():
        position += 1
    return min(position, len(words))


def _forget_oldest(kept: dict[str, _T]) -> None:
    while len(kept) > MAX_LINES:
        del kept[next(iter(kept))]
