from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.engines.embedded.clauses import MAX_CHARACTERS, MAX_WORDS, Clauses, speakable


def cut(*pieces: str) -> list[str]:
    clauses = Clauses()
    out = [clause for piece in pieces for clause in clauses.feed(piece)]
    return out + clauses.flush()


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello there. How are you?", ["Hello there. ", "How are you?"]),
        ("Sure! I can help with that.", ["Sure! ", "I can help with that."]),
        # The first clause ends at a comma behind four words, a later one only where it is long.
        ("Well, yes, it is so, I think, and more.", ["Well, yes, it is so, ", "I think, and more."]),
        ("Dr. Smith lives at St. James. He is kind.", ["Dr. Smith lives at St. James. ", "He is kind."]),
        ("Pi is 3.14 today. Good.", ["Pi is 3.14 today. ", "Good."]),
        ("He said “Go!” Then he left.", ["He said “Go!” ", "Then he left."]),
        ("First line\nSecond line", ["First line\n", "Second line"]),
        ("", []),
    ],
)
def test_where_it_cuts(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses
    assert cut(*text) == clauses


def test_the_first_clause_comes_before_the_sentence_ends() -> None:
    clauses = Clauses()
    assert clauses.feed("In the old town by the sea, ") == ["In the old town by the sea, "]
    long = Clauses().feed(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    )
    assert len(long) == 1
    assert len(long[0].split()) == 14


def test_white_space_and_punctuation_alone_do_not_count_as_the_first_clause() -> None:
    clauses = Clauses()
    assert clauses.feed("... \n") == ["... \n"]
    assert clauses.feed("Here we are again, ") == ["Here we are again, "]


@given(st.lists(st.text(alphabet=st.sampled_from("ab Dr.,!?\n…。“”1"), max_size=40), max_size=12))
def test_every_character_comes_out_once_in_order_whatever_the_pieces(pieces: list[str]) -> None:
    clauses = cut(*pieces)
    assert "".join(clauses) == "".join(pieces)
    assert all(clauses)


@given(st.text(alphabet=st.sampled_from("ab ,"), max_size=2000))
def test_no_clause_is_too_long_to_be_spoken_at_once(text: str) -> None:
    for clause in cut(text + " end. "):
        assert len(clause.split()) <= MAX_WORDS + 1
        assert len(clause) <= MAX_CHARACTERS + 20 or not speakable(clause)
