"""Phonemes without eSpeak: what is asked of it, and what is made of its answers."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.engines.multilingual import espeak
from vivavoz.engines.multilingual.espeak import EspeakProgram, find_espeak
from vivavoz.engines.multilingual.phonemes import Phonemes, from_espeak, pieces, punctuated
from vivavoz.engines.multilingual.spelling import spelt_out
from vivavoz.engines.multilingual.symbols import SYMBOLS, runs
from vivavoz.engines.ports import EngineError


class Recorder:
    """An eSpeak that says what it is given, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def phonemes(self, text: str, voice: str) -> str:
        self.asked.append((text, voice))
        return text.lower()


def test_punctuation_survives_because_the_melody_hangs_on_it() -> None:
    recorder = Recorder()
    said = Phonemes(recorder, None).of("Olá, tudo bem? «Sim» (claro) — até já!", "pt")
    assert said == "olá, tudo bem? sim claro — até já!"
    assert recorder.asked == [
        ("Olá", "pt-br"),
        ("tudo bem", "pt-br"),
        ("Sim   claro", "pt-br"),
        ("até já", "pt-br"),
    ]


def test_numbers_and_words_are_not_cut() -> None:
    assert list(pieces("Custa 3,50 às 10:30.")) == [("Custa 3,50 às 10:30", ".")]
    assert list(pieces("segunda-feira - ou terça")) == [("segunda-feira ", "-"), (" ou terça", "")]


@given(st.text(alphabet=st.sampled_from('aé 1,.;:!?…—-()"'), max_size=40))
def test_every_word_is_spoken_once_and_in_order(text: str) -> None:
    said = punctuated(text, lambda words: words)
    assert [c for c in said if c.isalnum()] == [c for c in text if c.isalnum()]


def test_two_letters_of_one_sound_become_one() -> None:
    assert from_espeak("bˈo^ʊ d^ʒˈia, t^ʃˈia", "pt") == "bˈO ʤˈia, ʧˈia"
    assert from_espeak("be^ɪm-v", "pt") == "bAmv"
    assert from_espeak("wˈɛðɚɹ", "en") == "wˈɛðəɹ"


def test_english_is_left_to_those_who_know_it() -> None:
    recorder = Recorder()
    both = Phonemes(recorder, lambda text: f"<{text}>")
    assert both.of("Hello.", "en") == "<Hello.>"
    assert recorder.asked == []
    assert Phonemes(recorder, None).of("Hello.", "en") == "hello."
    assert recorder.asked == [("Hello", "en-us")]
    assert Phonemes(None, None).of("Olá.", "pt") == ""


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Custa R$ 3,50.", "Custa 3 reais e 50 centavos."),
        ("São R$1.200 por mês", "São 1200 reais por mês"),
        ("R$ 1,00 e R$ 0,01", "1 real e 1 centavo"),
        ("às 10h30, ou 1h, ou 14h00", "às 10 e 30, ou 1 hora, ou 14 horas"),
        ("5 km, 30°C e 2kg", "5 quilômetros, 30 graus e 2 quilos"),
        ("pão & vinho", "pão e vinho"),
        ("90 km/h, 10:30 e 3,50", "90 km/h, 10:30 e 3,50"),
    ],
)
def test_short_forms_are_read_as_words(written: str, read: str) -> None:
    assert spelt_out(written) == read


@given(st.text(alphabet=st.sampled_from("abˈːʧ .?ŋ漢"), max_size=60), st.integers(3, 20))
def test_long_clauses_go_in_runs_that_lose_no_sound(phonemes: str, limit: int) -> None:
    numbers = [number for run in runs(phonemes, limit) for number in run]
    assert all(0 < len(run) <= limit for run in runs(phonemes, limit))
    letters = {number for symbol, number in SYMBOLS.items() if symbol.isalpha() and symbol not in "ˈː"}
    spoken = [SYMBOLS[c] for c in phonemes if c in SYMBOLS and SYMBOLS[c] in letters]
    assert [number for number in numbers if number in letters] == spoken


def test_without_espeak_both_ways_to_get_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_the_package(monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EngineError, match=r"vivavoz\[multilingual\].*apt-get install espeak-ng") as absent:
        find_espeak()
    assert absent.value.code == "engine_absent"


def test_the_program_serves_where_there_is_no_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide_the_package(monkeypatch)
    program = tmp_path / "espeak-ng"
    program.write_text('#!/bin/sh\necho "$@" > "$0.asked"\ncat; echo " (en)wˈeb(pt-br)"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_espeak().phonemes("uma página", "pt-br") == "uma página wˈeb"
    asked = (tmp_path / "espeak-ng.asked").read_text()
    assert "--ipa --tie=^ -v pt-br" in asked
    assert "página" not in asked, "what is said stands in no process list"


def test_a_program_that_fails_does_not_repeat_what_was_said(tmp_path: Path) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\ncat >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(EngineError) as failed:
        EspeakProgram(str(program)).phonemes("segredo", "pt-br")
    assert "segredo" not in str(failed.value)
    assert failed.value.code == "engine_failed"


def hide_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def imported(name: str, package: str | None = None) -> Any:
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(espeak.importlib, "import_module", imported)
