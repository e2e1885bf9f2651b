"""From a clause to the phonemes that Kokoro was trained on (the alphabet of the ``misaki`` project)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from vivavoz.engines.multilingual.espeak import Espeak
from vivavoz.engines.multilingual.spelling import spelt_out

ESPEAK_VOICES = {"pt": "pt-br", "en": "en-us"}

_PUNCTUATION = re.compile(r"(?:[.,!?…]+|[;:])(?=\s|$)|\s*[—–]\s*|(?<=\s)-(?=\s)")
"""Not what stands amid a number (3,50 and 10:30) or a word."""
_UNSPOKEN = re.compile(r"[()“”„\"«»]+")
_DASHES = "—–-"

# Kokoro writes a sound of two letters as one; the longest come first.
_PORTUGUESE = (
    ("d^z", "ʣ"),
    ("d^ʒ", "ʤ"),
    ("t^s", "ʦ"),
    ("t^ʃ", "ʧ"),
    ("s^s", "S"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("ə^ʊ", "Q"),
    ("ɔ^ɪ", "Y"),
)
_ENGLISH = (
    ("d^ʒ", "ʤ"),
    ("t^ʃ", "ʧ"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("ɔ^ɪ", "Y"),
    ("ə^l", "ᵊl"),
    ("ɜː", "ɜɹ"),
    ("ɚ", "əɹ"),
    ("ɪə", "iə"),
    ("ɐ", "ə"),
    ("ɾ", "T"),
    ("r", "ɹ"),
    ("ɹɹ", "ɹ"),
    ("ː", ""),
)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """``text`` as (words, punctuation behind them). eSpeak drops punctuation; Kokoro makes melody of it."""
    start = 0
    for mark in _PUNCTUATION.finditer(text):
        yield text[start : mark.start()], mark.group()
        start = mark.end()
    if start < len(text):
        yield text[start:], ""


def punctuated(text: str, phonemes: Callable[[str], str]) -> str:
    """The phonemes of ``text``, word groups and punctuation in their order."""
    out = ""
    for words, mark in pieces(_UNSPOKEN.sub(" ", text)):
        said = phonemes(words.strip()) if any(c.isalnum() for c in words) else ""
        mark = mark.strip()
        out += f"{said} — " if mark and mark in _DASHES else f"{said}{mark} "
    return " ".join(out.split())


def from_espeak(ipa: str, language: str) -> str:
    """eSpeak's IPA in Kokoro's alphabet."""
    for espeak, kokoro in _ENGLISH if language == "en" else _PORTUGUESE:
        ipa = ipa.replace(espeak, kokoro)
    return ipa.replace("^", "").replace("-", "")


class Phonemes:
    """Phonemes of both languages. ``english``: misaki's own rules, where there is a package that has them."""

    def __init__(self, espeak: Espeak | None, english: Callable[[str], str] | None) -> None:
        self._espeak = espeak
        self._english = english

    def of(self, text: str, language: str) -> str:
        """Empty where there is nothing to say, or nobody who knows how."""
        if language == "en" and self._english is not None:
            return self._english(text)
        espeak = self._espeak
        if espeak is None:
            return ""
        voice = ESPEAK_VOICES[language]
        text = spelt_out(text) if language == "pt" else text
        return punctuated(text, lambda words: from_espeak(espeak.phonemes(words, voice), language))
