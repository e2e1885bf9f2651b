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

from vivavoz.session.effects import Reply
from vivavoz.session.pieces import (
    AROUND,
    SPELLED_OUT,
    Piece,
    estimated,
    newest,
    pieces_of,
    size_of_text,
    total_of,
)
from vivavoz.session.plan import Plan
from vivavoz.session.response import Asked, Response
from vivavoz.session.state import State
from vivavoz.wire.codec import pack
from vivavoz.wire.items import InputImage, Item, Message
from vivavoz.wire.options import RetentionRatio


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
    pieces = pieces_of(state, response)
    room, most = _room(state, response.plan), _most(state)
    before = _before(state, response, preface)
    at_most = sum(piece.at_most for piece in pieces)
    limits = [limit for limit in (most, response.budget) if limit is not None]
    if room is not None:
        tools = len(preface.tools) and _size(preface) + SPELLED_OUT
        limits.append(room - (_size(preface) + tools if before is None else before))
    if not limits or at_most <= min(limits):
        return _ready(state, pieces, preface, before)
    if before is None or any(piece.tokens is None for piece in pieces):
        return _uncounted(response, pieces)
    limit, total = min(limits), total_of(pieces)
    if total <= limit:
        return _ready(state, pieces, preface, before)
    if state.options.truncation == "disabled":
        return TooLong(_refusal(before + total, room, state))
    kept = newest(pieces, int(limit * _ratio(state)))
    needed = before + total_of(kept)
    refused = response.budget is not None and needed > before + response.budget
    if refused or (room is not None and needed > room):
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
        if isinstance(key, int):
            response.counts[key] = sum_of
        elif (entry := state.conversation.get(key)) is not None:
            entry.tokens = sum_of


def calibrate(state: State, asked: Asked, input_tokens: int) -> None:
    """The model has said how many tokens its prompt had: the next estimates follow it."""
    if input_tokens > 0 and asked.size >= 200 and not asked.images:
        state.tokens_per_byte = min(max(input_tokens / asked.size, 0.05), 1.0)


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
        return estimated(state, size)
    response.preface = blake2b(pack([preface.instructions, preface.tools]), digest_size=16).hexdigest()
    known = state.preface
    return known[1] if known is not None and known[0] == response.preface else None


def _size(preface: Reply) -> int:
    size = size_of_text(preface.instructions) + (len(pack(preface.tools)) if preface.tools else 0)
    return size + AROUND if size else 0


# ------------------------------------------------------------------------------------- what follows


def _ready(state: State, pieces: list[Piece], preface: Reply, before: int | None) -> Ready:
    size = _size(preface)
    head = estimated(state, size) if before is None and size else before or 0
    body = sum(estimated(state, piece.size) if piece.tokens is None else piece.tokens for piece in pieces)
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
