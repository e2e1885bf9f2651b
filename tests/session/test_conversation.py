"""What a conversation keeps, where a scenario would be long: limits, and words cut with their sound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoz.session.conversation import Conversation
from vivavoz.session.entry import Spoken
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.items import InputText, Message


def message(item_id: str) -> Message:
    return Message(id=item_id, role="user", content=[InputText(text="x")])


def test_a_full_conversation_takes_no_more() -> None:
    conversation = Conversation(id="conv_1", limit=2)
    conversation.create(message("a"), None)
    conversation.create(message("b"), None)
    with pytest.raises(ProtocolError) as refused:
        conversation.create(message("c"), None)
    assert refused.value.code == "item_create_too_many_items"
    conversation.delete("a")
    conversation.create(message("c"), "root")
    assert conversation.order == ["c", "b"]


def test_ids_may_be_long_but_not_endless() -> None:
    conversation = Conversation(id="conv_1")
    conversation.create(message("x" * 512), None)
    with pytest.raises(ProtocolError) as refused:
        conversation.create(message("x" * 513), None)
    assert refused.value.param == "item.id"


@pytest.mark.parametrize(
    ("samples", "heard"),
    [
        (0, ""),
        (1_000, "One"),
        (1_600, "One "),
        (1_750, "One "),
        (2_000, "One two"),
        (4_000, "One two three "),
        (5_000, "One two three "),
        (8_000, "One two three four."),
        (9_000, "One two three four."),
    ],
)
def test_words_are_cut_where_their_sound_is(samples: int, heard: str) -> None:
    spoken = Spoken()
    spoken.say("One two three ", 4_000)
    spoken.say("", 1_000)
    spoken.say("four.", 3_000)
    assert spoken.truncate(samples) == heard
    assert spoken.samples == min(samples, 8_000)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.text("ab ", max_size=8), st.integers(0, 500)), max_size=8),
    st.integers(0, 4_000),
    st.integers(0, 4_000),
)
def test_cutting_leaves_a_beginning_and_never_gives_back(
    chunks: list[tuple[str, int]], first: int, second: int
) -> None:
    spoken = Spoken()
    for text, samples in chunks:
        spoken.say(text, samples)
    whole = "".join(text for text, _ in chunks)
    once = spoken.truncate(first)
    assert whole.startswith(once)
    spoken.say("more", 10)
    twice = spoken.truncate(second)
    assert once.startswith(twice)
    assert spoken.samples <= min(first, sum(samples for _, samples in chunks))
