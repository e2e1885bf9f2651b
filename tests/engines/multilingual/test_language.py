from __future__ import annotations

import pytest

from vivavoz.engines.multilingual.language import base, guess, likeliest


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Olá, tudo bem?", "pt"),
        ("Sim, claro.", "pt"),
        ("A reunião de amanhã começa às dez.", "pt"),
        ("Posso ajudar com mais alguma coisa? ", "pt"),
        ("Bom dia! ", "pt"),
        ("Hello there.", "en"),
        ("Sure, I can help you with that, ", "en"),
        ("What's the weather like? ", "en"),
        ("I don't know. ", "en"),
    ],
)
def test_a_clause_tells_its_language_by_its_small_words(text: str, language: str) -> None:
    assert guess(text, otherwise="pt") == guess(text, otherwise="en") == language


@pytest.mark.parametrize("text", ["Lisboa. ", "42", "", "OK!"])
def test_names_and_numbers_stay_in_the_language_that_was_spoken(text: str) -> None:
    assert guess(text, otherwise="en") == "en"
    assert guess(text, otherwise="pt") == "pt"


def test_regions_do_not_matter() -> None:
    assert base("pt-BR") == base("PT_pt ") == base("pt") == "pt"


def test_a_rare_neighbour_is_not_heard_for_a_common_language() -> None:
    assert likeliest([("gl", 0.6), ("pt", 0.3), ("es", 0.1)], ("pt", "en", "es")) == "pt"
    assert likeliest([("gl", 1.0)], ("pt", "en")) == "pt"
