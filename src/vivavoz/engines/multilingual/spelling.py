"""Portuguese short forms in the words that they are read as. Pure.

eSpeak reads figures, dates and ordinals itself; these it spells out.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_AMOUNT = r"(\d{1,3}(?:\.\d{3})+|\d+)"


def _money(found: re.Match[str]) -> str:
    whole, cents = found[1].replace(".", ""), int(found[2] or 0)
    said = f"{whole} {'real' if whole == '1' else 'reais'}" if int(whole) or not cents else ""
    change = f"{cents} {'centavo' if cents == 1 else 'centavos'}" if cents else ""
    return " e ".join(filter(None, (said, change)))


def _hours(found: re.Match[str]) -> str:
    minutes = int(found[2] or 0)
    hours = f"{int(found[1])} {'hora' if int(found[1]) == 1 else 'horas'}"
    return f"{int(found[1])} e {minutes}" if minutes else hours


_UNITS = {"km": "quilômetros", "kg": "quilos", "cm": "centímetros", "°C": "graus", "°": "graus", "&": "e"}

_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"R\$\s?{_AMOUNT}(?:,(\d\d))?(?!\d)"), _money),
    (re.compile(r"\b(\d{1,2})\s?h(\d\d)?(?:min)?\b"), _hours),
    (re.compile(r"(?<=\d)\s?(km|kg|cm|°C|°)(?![\w/²³])"), lambda found: f" {_UNITS[found[1]]}"),
    (re.compile(r"(?<=\s)(&)(?=\s)"), lambda found: _UNITS[found[1]]),
)


def spelt_out(text: str) -> str:
    """``text`` as it is read aloud."""
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    return text
