"""A conversation as its model would get it: piece by piece, with what each costs.

Sizes are bytes and cost nothing to know; tokens are the engine's to count, and an estimate where it does not.
"""

from __future__ import annotations

from typing import NamedTuple

from vivavoz.session.entry import Entry, as_said, words
from vivavoz.session.input_audio import to_ms
from vivavoz.session.response import Response
from vivavoz.session.state import State
from vivavoz.wire.items import (
    AnyItem,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    Item,
    Message,
)

MS_PER_TOKEN_HEARD = 100
MS_PER_TOKEN_SAID = 50
"""Accounting of the hosted services: one token per 100 ms of user audio, per 50 ms of assistant audio."""

IMAGE_BYTES = 4 * 765
"""What a picture counts as: a large one takes some 765 tokens."""

AROUND = 16
"""Bytes for what a chat template puts around an item."""

SPELLED_OUT = 1_024
"""Bytes, beside twice their own, that a model's template may make of tools and calls."""


class Piece(NamedTuple):
    """One item as the model would get it; no items where it only hears it. ``size``: bytes; ``tokens``: None
    where nobody has counted yet, but there are no more than ``at_most``. ``key``: the id of a conversation's
    item, the place of one of the response's own."""

    key: str | int
    entry: Entry | None
    items: list[Item]
    size: int
    sound: int
    tokens: int | None

    @property
    def at_most(self) -> int:
        if self.tokens is not None:
            return self.tokens
        return self.size if isinstance(self.items[0], Message) else 2 * self.size + SPELLED_OUT


def pieces_of(state: State, response: Response) -> list[Piece]:
    plan = response.plan
    pieces: list[Piece] = []
    if plan.input is None:
        answered = _answered(state)
        pieces = [
            piece
            for entry in state.conversation
            if (not entry.dropped or _call_id(entry.item) in answered)
            and (piece := _of_conversation(state, response, entry)) is not None
        ]
    own = [[item] for item in plan.input or []]
    if response.conversation_id is None or plan.input is not None:
        # What it did so far stands in no conversation, or in one that is not its context.
        own += [said for item in response.items if (said := as_said(item))]
    for index, items in enumerate(own):
        pieces.append(_piece(state, response, index, None, items, sum(map(_size_of, items))))
    return pieces


def _answered(state: State) -> set[str]:
    """The calls whose outputs are there: left out while they were waited for, they are of use again."""
    outputs = (e.item for e in state.conversation if not e.dropped and isinstance(e.item, FunctionCallOutput))
    return {output.call_id for output in outputs}


def _call_id(item: AnyItem) -> str | None:
    return item.call_id if isinstance(item, FunctionCall) and isinstance(item.call_id, str) else None


def _of_conversation(state: State, response: Response, entry: Entry) -> Piece | None:
    """An item of the conversation; None where the model gets nothing of it."""
    if isinstance(entry.item, Message):
        size = _size_of_message(entry.item, entry.transcript)
        items: list[Item] = [entry.item] if size else []
        if entry.transcript is not None:
            items = entry.as_said()
    else:
        items = state.conversation.said(entry)
        size = sum(map(_size_of, items))
    sound = sound_of(entry) if entry.heard_ms or entry.spoken is not None else 0
    if not items and not (sound and state.settings.plan == "converse"):
        return None
    return _piece(state, response, str(entry.item.id), entry, items, size, sound)


def _piece(
    state: State,
    response: Response,
    key: str | int,
    entry: Entry | None,
    items: list[Item],
    size: int,
    sound: int = 0,
) -> Piece:
    if sound and state.settings.plan == "converse":
        # This model hears it, and reads nothing.
        return Piece(key, entry, items, sound, sound, sound)
    known = response.counts.get(key) if isinstance(key, int) else entry.tokens if entry is not None else None
    if known is not None and known[0] == size:
        return Piece(key, entry, items, size, sound, known[1])
    guess = estimated(state, size) if response.estimates or not state.settings.counts else None
    return Piece(key, entry, items, size, sound, guess)


def sound_of(entry: Entry) -> int:
    """Tokens of the sound in an item, as the hosted services count them."""
    said = to_ms(entry.spoken.samples) if entry.spoken is not None else 0
    return -(-entry.heard_ms // MS_PER_TOKEN_HEARD) + -(-said // MS_PER_TOKEN_SAID)


def _size_of(item: Item) -> int:
    match item:
        case Message():
            return _size_of_message(item, None)
        case FunctionCall():
            return AROUND + size_of_text(item.name) + size_of_text(item.arguments)
        case FunctionCallOutput():
            return AROUND + size_of_text(item.output)


def _size_of_message(item: Message, transcript: str | None) -> int:
    """0: there are no words in it. Called for every item of a conversation: one plain loop."""
    size = 0
    for part in item.content:
        if isinstance(part, InputImage):
            size += IMAGE_BYTES
            continue
        text = transcript if transcript is not None and isinstance(part, InputAudio) else words(part)
        size += len(text) if text.isascii() else size_of_text(text)
    return size + AROUND if size else 0


def size_of_text(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimated(state: State, size: int) -> int:
    return max(1, round(size * state.tokens_per_byte))


def total_of(pieces: list[Piece]) -> int:
    return sum(piece.tokens or 0 for piece in pieces)


# ------------------------------------------------------------------------------------- what stays


def newest(pieces: list[Piece], target: int) -> list[Piece]:
    """Without the oldest, until at most ``target`` tokens are left. A call and its output go together; what
    came last stays, since it is what is to be answered."""
    calls: dict[str, list[int]] = {}
    for index, piece in enumerate(pieces):
        for call_id in _call_ids(piece):
            calls.setdefault(call_id, []).append(index)
    stay = _last(pieces, calls)
    total, gone = total_of(pieces), set[int]()
    for index in range(len(pieces)):
        if total <= target:
            break
        if index in stay:
            continue
        together = {index, *(other for call_id in _call_ids(pieces[index]) for other in calls[call_id])}
        for other in together - gone - stay:
            gone.add(other)
            total -= pieces[other].tokens or 0
    return [piece for index, piece in enumerate(pieces) if index not in gone]


def _last(pieces: list[Piece], calls: dict[str, list[int]]) -> set[int]:
    """The last item; where it is an output, all outputs at the end with their calls."""
    stay: set[int] = set()
    for index in reversed(range(len(pieces))):
        output = any(isinstance(item, FunctionCallOutput) for item in pieces[index].items[:1])
        if not output and stay:
            break
        stay.add(index)
        if not output:
            break
        stay.update(other for call_id in _call_ids(pieces[index]) for other in calls[call_id])
    return stay


def _call_ids(piece: Piece) -> list[str]:
    return [
        item.call_id
        for item in piece.items
        if isinstance(item, FunctionCall | FunctionCallOutput) and isinstance(item.call_id, str)
    ]
