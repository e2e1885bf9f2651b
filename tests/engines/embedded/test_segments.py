from __future__ import annotations

import numpy as np
import pytest

from vivavoz.engines.embedded.segments import (
    LEAD_FRAMES,
    MAX_FRAMES,
    TAIL_FRAMES,
    Speech,
    audible,
    believed,
    find_cut,
    find_speech,
    unloop,
)

LOUD = np.full(16_000, 0.1, np.float32)
FAINT = np.full(16_000, 0.001, np.float32)
LONG = Speech(0, 60, 50)
SHORT = Speech(0, 20, 9)


def test_speech_keeps_a_margin_and_loses_the_silence_around_it() -> None:
    probabilities = [0.0] * 50 + [0.9] * 20 + [0.0] * 50
    assert find_speech(probabilities) == Speech(50 - LEAD_FRAMES, 70 + TAIL_FRAMES, 20)


def test_less_than_a_quarter_of_a_second_is_no_speech() -> None:
    assert find_speech([0.0] * 50 + [0.9] * 7 + [0.0] * 50) is None
    assert find_speech([0.01] * 500) is None
    assert find_speech([]) is None


def test_a_long_segment_is_cut_amid_its_quietest_moment_near_the_end() -> None:
    probabilities = [0.9] * MAX_FRAMES
    probabilities[40:60] = [0.0] * 20  # quieter still, but far from the end
    probabilities[220:230] = [0.1] * 10
    assert 220 < find_cut(probabilities) < 230


@pytest.mark.parametrize("text", ["You", "You.", " you ", "Thanks for watching!"])
def test_words_invented_for_noise_are_not_believed(text: str) -> None:
    assert believed(text, FAINT, LONG) == ""
    assert believed(text, LOUD, SHORT) == ""


@pytest.mark.parametrize("text", ["Okay.", "Bye.", "Thank you.", "Yes."])
def test_short_answers_are_believed(text: str) -> None:
    assert believed(text, LOUD, SHORT) == text


def test_the_same_words_said_clearly_are_believed() -> None:
    assert believed("You.", LOUD, LONG) == "You."
    assert believed("You and me.", FAINT, SHORT) == "You and me."
    assert believed(" ... ", LOUD, LONG) == ""


def test_endless_repetition_is_undone() -> None:
    assert unloop("He went and went and went and went and went and left") == "He went and left"
    assert unloop("no, no, no, no, no, no") == "no"
    assert unloop("I had had enough, really, really") == "I had had enough, really, really"


def test_what_is_much_softer_than_the_speech_is_only_its_echo() -> None:
    probabilities = [0.9] * 10 + [0.9, 0.9, 0.1, 0.9]
    levels = [0.1] * 10 + [0.0019, 0.0021, 0.1, 0.1]
    assert audible(probabilities, levels) == [True] * 10 + [False, True, False, True]
    assert audible([0.1, 0.2], [0.5, 0.5]) == [False, False]
    # One loud click does not make all speech soft.
    assert all(audible([0.9] * 5, [1.0, 0.02, 0.02, 0.02, 0.02]))
