"""What of a conversation its model is given, and how that is cut to the model's window.

The Realtime reference, ``truncation``: "When the number of tokens in a conversation exceeds the model's input
token limit, the conversation be truncated, meaning messages (starting from the oldest) will not be included
in the model's context". Clients still see every item. What a truncation left out stays out, so that the
prompt of the next response begins like the last one's and the model's cache is of use.

Exact counts come from the engine and are kept with the items; they are asked for only where a conversation
may be too long: no tokenizer makes more tokens of a text than it has bytes. For an engine that does not count
they are estimated by what it said of its last reply.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from vivavoz.session.conversation import Entry, as_said, words
from vivavoz.session.effects import Reply
from vivavoz.session.input_audio import to_ms
from vivavoz.session.plan import Plan
from vivavoz.session.response import Asked, Response
from vivavoz.session.state import State
from vivavoz.wire.codec import pack
from vivavoz.wire.items import (
    AnyItem,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    Item,
    Message,
)
from vivavoz.wire.options import RetentionRatio

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
    where nobody has counted yet, but there are no more than ``at_most``."""

    key: str
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


class Ready(NamedTuple):
    """The items that the model is given."""

    items: list[Item]
    asked: Asked


class Uncounted(NamedTuple):
    """The engine must count these first."""

    items: list[Item]


class TooLong(NamedTuple):
    """There is no answering this."""

    message: str


def fit(state: State, response: Response, preface: Reply) -> Ready | Uncounted | TooLong:
    """What the model is given of the conversation, or of the response's own input. ``preface`` is the reply
    without its items: instructions and tools always stay. An overlong conversation is truncated here."""
    pieces = _pieces(state, response)
    room, most = _room(state, response.plan), _most(state)
    before = _before(state, response, preface)
    counted = before is not None and all(piece.tokens is not None for piece in pieces)
    at_most = sum(piece.at_most for piece in pieces)
    limits = [limit for limit in (most, response.budget) if limit is not None]
    if room is not None:
        tools = len(preface.tools) and _size(preface) + SPELLED_OUT
        limits.append(room - (_size(preface) + tools if before is None else before))
    if not limits or at_most <= min(limits):
        return _ready(state, pieces, preface, before)
    if not counted or before is None:
        return _uncounted(response, pieces)
    limit, total = min(limits), _total(pieces)
    if total <= limit:
        return _ready(state, pieces, preface, before)
    if state.options.truncation == "disabled":
        return TooLong(_refusal(before + total, room, state))
    kept = _newest(pieces, int(limit * _ratio(state)))
    needed = before + _total(kept)
    if (room is not None and needed > room) or (
        response.budget is not None and needed > before + response.budget
    ):
        return TooLong(_refusal(needed, room, state))
    if response.conversation_id is not None:
        stay = {piece.key for piece in kept}
        for piece in pieces:
            if piece.entry is not None and piece.key not in stay:
                piece.entry.dropped = True
    return _ready(state, kept, preface, before)


def counted(state: State, response: Response, tokens: list[int], before: int) -> None:
    """The engine has counted what it was asked to count."""
    asked, response.counting = response.counting, []
    if len(tokens) != sum(items for _, _, items in asked):
        response.estimates = True
        return
    if (digest := response.preface) is not None:
        state.preface = (digest, before)
    start = 0
    for key, size, items in asked:
        sum_of = (size, sum(tokens[start : start + items]))
        start += items
        if key.startswith("#"):
            response.counts[key] = sum_of
        elif (entry := state.conversation.get(key)) is not None:
            entry.tokens = sum_of


def calibrate(state: State, asked: Asked, input_tokens: int) -> None:
    """The model has said how many tokens its prompt had: the next estimates follow it."""
    if input_tokens > 0 and asked.size >= 200 and not asked.images:
        state.tokens_per_byte = min(max(input_tokens / asked.size, 0.05), 1.0)


# ------------------------------------------------------------------------------------- what there is


def _pieces(state: State, response: Response) -> list[Piece]:
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
        pieces.append(_piece(state, response, f"#{index}", None, items, sum(map(_size_of, items))))
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
    key: str,
    entry: Entry | None,
    items: list[Item],
    size: int,
    sound: int = 0,
) -> Piece:
    if sound and state.settings.plan == "converse":
        # This model hears it, and reads nothing.
        return Piece(key, entry, items, sound, sound, sound)
    known = entry.tokens if entry is not None else response.counts.get(key)
    if known is not None and known[0] == size:
        return Piece(key, entry, items, size, sound, known[1])
    estimated = _estimated(state, size) if response.estimates or not state.settings.counts else None
    return Piece(key, entry, items, size, sound, estimated)


def sound_of(entry: Entry) -> int:
    """Tokens of the sound in an item, as the hosted services count them."""
    said = to_ms(entry.spoken.samples) if entry.spoken is not None else 0
    return -(-entry.heard_ms // MS_PER_TOKEN_HEARD) + -(-said // MS_PER_TOKEN_SAID)


def _size_of(item: Item) -> int:
    match item:
        case Message():
            return _size_of_message(item, None)
        case FunctionCall():
            return AROUND + _bytes(item.name) + _bytes(item.arguments)
        case FunctionCallOutput():
            return AROUND + _bytes(item.output)


def _size_of_message(item: Message, transcript: str | None) -> int:
    """0: there are no words in it. Called for every item of a conversation: one plain loop."""
    size = 0
    for part in item.content:
        if isinstance(part, InputImage):
            size += IMAGE_BYTES
            continue
        text = transcript if transcript is not None and isinstance(part, InputAudio) else words(part)
        size += len(text) if text.isascii() else _bytes(text)
    return size + AROUND if size else 0


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _estimated(state: State, size: int) -> int:
    return max(1, round(size * state.tokens_per_byte))


def _total(pieces: list[Piece]) -> int:
    return sum(piece.tokens or 0 for piece in pieces)


# ------------------------------------------------------------------------------------- what fits


def _room(state: State, plan: Plan) -> int | None:
    """Tokens for all input: "A 32k context model with 4,096 max output tokens can only include 28,224 tokens
    in the context before truncation occurs"."""
    window = state.settings.window
    if window is None:
        return None
    wanted = plan.max_output_tokens
    longest = state.settings.longest_reply
    reserve = min(wanted, longest) if isinstance(wanted, int) else longest
    return window - min(reserve, window // 2)


def _most(state: State) -> int | None:
    """ "Maximum tokens allowed in the conversation after instructions (which including tool definitions)"."""
    truncation = state.options.truncation
    limits = truncation.token_limits if isinstance(truncation, RetentionRatio) else None
    return limits.post_instructions if limits and isinstance(limits.post_instructions, int) else None


def _ratio(state: State) -> float:
    """ "Setting this to `0.8` means that messages will be dropped until 80% of the maximum allowed tokens are
    used"."""
    truncation = state.options.truncation
    return truncation.retention_ratio if isinstance(truncation, RetentionRatio) else 1.0


def _before(state: State, response: Response, preface: Reply) -> int | None:
    """Tokens of instructions and tools; None where they must be counted first."""
    size = _size(preface)
    if size == 0:
        return 0
    if response.estimates or not state.settings.counts:
        return _estimated(state, size)
    response.preface = blake2b(pack([preface.instructions, preface.tools]), digest_size=16).hexdigest()
    known = state.preface
    return known[1] if known is not None and known[0] == response.preface else None


def _size(preface: Reply) -> int:
    size = _bytes(preface.instructions) + (len(pack(preface.tools)) if preface.tools else 0)
    return size + AROUND if size else 0


def _newest(pieces: list[Piece], target: int) -> list[Piece]:
    """Without the oldest, until at most ``target`` tokens are left. A call and its output go together; what
    came last stays, since it is what is to be answered."""
    calls: dict[str, list[int]] = {}
    for index, piece in enumerate(pieces):
        for call_id in _call_ids(piece):
            calls.setdefault(call_id, []).append(index)
    stay = _last(pieces, calls)
    total, gone = _total(pieces), set[int]()
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


# ------------------------------------------------------------------------------------- what follows


def _ready(state: State, pieces: list[Piece], preface: Reply, before: int | None) -> Ready:
    size = _size(preface)
    head = _estimated(state, size) if before is None and size else before or 0
    body = sum(_estimated(state, piece.size) if piece.tokens is None else piece.tokens for piece in pieces)
    heard = state.settings.plan == "converse"
    asked = Asked(
        text=head + body - (sum(piece.sound for piece in pieces) if heard else 0),
        sound=sum(piece.sound for piece in pieces),
        after_instructions=body,
        size=size + sum(piece.size for piece in pieces),
        images=state.settings.sees
        and any(
            isinstance(part, InputImage)
            for piece in pieces
            for item in piece.items
            if isinstance(item, Message)
            for part in item.content
        ),
    )
    return Ready([item for piece in pieces for item in piece.items], asked)


def _uncounted(response: Response, pieces: list[Piece]) -> Uncounted:
    unknown = [piece for piece in pieces if piece.tokens is None]
    response.counting = [(piece.key, piece.size, len(piece.items)) for piece in unknown]
    return Uncounted([item for piece in unknown for item in piece.items])


def _refusal(tokens: int, room: int | None, state: State) -> str:
    if room is None:
        return "The input is too long for the model, even without the older items of the conversation."
    window = state.settings.window
    fits = f"the model takes at most {room} (its context of {window}, less the room for the answer)"
    if state.options.truncation == "disabled":
        return (
            f"The input has {tokens} tokens, but {fits}. Truncation is disabled: delete items, or enable it."
        )
    return f"Without the older items of the conversation the input still has {tokens} tokens, but {fits}."
