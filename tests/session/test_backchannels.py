"""Which words want the word."""

from __future__ import annotations

import pytest

from vivavoz.session.backchannels import BACK_CHANNELS, telling


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Mm-hm.", 0),
        ("Mm-hmm, yeah. I see!", 0),
        ("Uh-huh… right, OK.", 0),
        ("Pois é, está bem.", 0),
        ("Tá bom… SIM.", 0),
        ("Wait.", 1),
        ("Yes, but why?", 2),
        ("I think so", 3),
        ("Espera, por favor.", 3),
        ("— ¿… !", 0),
        ("等一下", 1),
    ],
)
def test_words_are_counted_without_the_back_channels(text: str, words: int) -> None:
    assert telling(text, BACK_CHANNELS) == words


@pytest.mark.parametrize(
    ("text", "words"), [("I", 0), ("Yeah, I", 0), ("I want", 2), ("All", 0), ("Stop", 1)]
)
def test_what_may_become_a_back_channel_does_not_count_yet(text: str, words: int) -> None:
    assert telling(text, BACK_CHANNELS, open=True) == words


def test_the_operator_says_which_they_are() -> None:
    assert telling("Genau. Ach so!", ("genau", "ach so")) == 0
    assert telling("Yes.", ()) == 1
