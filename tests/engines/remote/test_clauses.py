"""Where the text of a reply is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.engines.remote.clauses import LONGEST, ClauseCutter
from vivavoz.engines.remote.thoughts import ThoughtFilter


def cut(*pieces: str) -> list[str]:
    cutter = ClauseCutter()
    found = [clause for piece in pieces for clause in cutter.feed(piece)]
    return found + cutter.finish()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hi. How are you?", ["Hi.", " How are you?"]),
        ("Yes, of course I can, gladly.", ["Yes, of course I can,", " gladly."]),
        ("It is 3.5 degrees, not 3,5 I think.", ["It is 3.5 degrees,", " not 3,5 I think."]),
        ('He said "no." Then left.', ['He said "no."', " Then left."]),
        ("Ok. One. Two. Three. That is already enough for one.", None),
        ("Dr. J. Doe is in. Wait.", ["Dr. J. Doe is in.", " Wait."]),
        ("1. Take it. 2. Go.", ["1. Take it.", " 2. Go."]),
        ("", []),
    ],
)
def test_cut(text: str, pieces: list[str] | None) -> None:
    found = cut(text)
    assert "".join(found) == text
    if pieces is not None:
        assert found == pieces
    else:
        assert found[0] == "Ok."
        assert len(found) == 2  # short sentences after the first share a piece


def test_a_first_clause_without_a_mark_ends_after_so_many_words() -> None:
    found = cut(" ".join(["word"] * 40))
    assert len(found[0].split()) == 14


def test_nothing_is_ever_long() -> None:
    for text in ("x" * 2000, "word " * 400):
        assert max(len(piece) for piece in cut(text)) <= LONGEST


@given(st.lists(st.text(alphabet="ab .,!?\n—。", max_size=80), max_size=12))
def test_pieces_join_to_the_text(pieces: list[str]) -> None:
    assert "".join(cut(*pieces)) == "".join(pieces)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<think>a < b</think>Yes", "Yes"),
        ("\n<think>\n\n</think>\n\n Yes </think>", "Yes </think>"),
        ("No <think>x</think>", "No <think>x</think>"),
        ("<thin", "<thin"),
        ("<think>never ends", ""),
        ("<b>", "<b>"),
        ("", ""),
    ],
)
def test_thoughts_are_left_out_however_they_are_cut(text: str, spoken: str) -> None:
    for size in (1, 3, 100):
        thoughts = ThoughtFilter()
        pieces = [thoughts.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(pieces) + thoughts.finish() == spoken
