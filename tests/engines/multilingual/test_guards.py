from __future__ import annotations

import pytest

from vivavoz.engines.embedded.segments import Speech
from vivavoz.engines.multilingual.guards import believed, compression, looped, token_limit

CLEAR = Speech(0, 60, 50)
BRIEF = Speech(0, 20, 9)
LOUD, FAINT = 0.1, 0.001


@pytest.mark.parametrize(
    "text",
    [
        "Legendas pela comunidade Amara.org",
        "Legendas pela comunidade",
        "Legenda Adriana Zanotto",
        "Transcrição e Legendas Pedro Negri",
        "Obrigado por assistir!",
        "Inscreva-se no canal e deixe seu like.",
        "Subtitles by the Amara.org community",
        "Thanks for watching!",
        "Subtítulos realizados por la comunidad de Amara.org",
        "[Música]",
        "(risos)",
        "♪♪♪",
        " . ",
        "",
    ],
)
def test_credits_and_descriptions_are_no_words_however_clear_the_sound(text: str) -> None:
    assert believed(text, CLEAR, LOUD) == ""


@pytest.mark.parametrize("text", ["Obrigado.", "Tchau, tchau!", "You", "E aí?", "Thank you."])
def test_what_is_also_invented_is_believed_of_clear_speech_only(text: str) -> None:
    assert believed(text, CLEAR, LOUD) == text
    assert believed(text, BRIEF, LOUD) == ""
    assert believed(text, CLEAR, FAINT) == ""
    assert believed(text, CLEAR, LOUD, no_speech=0.9) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Obrigado, até amanhã.",
        "Onde fica a legenda do mapa?",
        "Thanks, I was watching.",
        "Sim.",
        "Quero música.",
    ],
)
def test_speech_that_only_resembles_them_is_believed(text: str) -> None:
    assert believed(text, CLEAR, LOUD) == text


def test_the_model_s_own_doubts_count_only_together() -> None:
    assert believed("Qualquer coisa.", CLEAR, LOUD, no_speech=0.9, mean_log=-1.5) == ""
    assert believed("Qualquer coisa.", CLEAR, LOUD, no_speech=0.9, mean_log=-0.3) == "Qualquer coisa."
    assert believed("Qualquer coisa.", CLEAR, LOUD, no_speech=0.1, mean_log=-1.5) == "Qualquer coisa."


def test_a_loop_is_known_by_how_well_it_compresses() -> None:
    assert looped("las " * 24)
    assert not looped(
        "O trem para o Porto sai da estação às oito e meia da manhã, e chega antes do meio-dia."
    )
    assert not looped("não, não, não")
    assert compression("") == 0.0


def test_what_is_left_of_a_loop_is_said_once() -> None:
    assert believed("Eu vi las las las las las las", CLEAR, LOUD) == "Eu vi las"
    assert believed("Ele disse [risos] que  vem.", CLEAR, LOUD) == "Ele disse que vem."


def test_a_loop_cannot_go_on_for_longer_than_the_sound_allows() -> None:
    assert token_limit(0.0) == 8
    assert token_limit(5.0) == 48
