"""Which language a text is in, as far as a choice of voice needs to know. Pure.

Two languages that differ in every other word do not need a model: letters and small words tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

SPOKEN = ("pt", "en")
"""ISO 639-1 codes of the languages that there are voices for; the first where a text tells nothing."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_PORTUGUESE_LETTERS = re.compile(r"[ãõçáâàéêíóôú]")
_ENGLISH_LETTERS = re.compile(r"th|w|['’](?:s|t|re|ll|ve|m|d)$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SMALL_WORDS: Mapping[str, frozenset[str]] = {
    "pt": _words("""
        o os e de da do das dos em na no nas nos um uma que não sim se por para com como mas ou ao aos à
        eu você vocês ele ela eles elas nós meu minha seu sua isso isto este esta esse essa aqui ali lá
        é são está estão foi era ser ter tem tenho há vou vai pode posso quero quer fazer muito mais bem
        já também quando onde quem qual quais porque então oi olá obrigado obrigada tchau bom boa dia noite
        tarde hoje amanhã ontem agora claro certo tudo nada favor até sobre entre sem depois antes
    """),
    "en": _words("""
        the an and of to in on at is are was were be been am it its this that these those i you he she we
        they my your his her our their me him us them not yes no do does did have has had can could will
        would should may might what which who where when why how for with from by about or but if so
        there here hello hi thanks thank please good very well just now today okay sure let know like
    """),
}


def base(code: str) -> str:
    """``pt-BR`` and ``pt_br`` are ``pt``."""
    return re.split(r"[-_]", code.strip().lower(), maxsplit=1)[0]


def guess(text: str, otherwise: str = SPOKEN[0]) -> str:
    """``pt`` or ``en``; ``otherwise`` where ``text`` (a name, a number) does not tell."""
    scores = {"pt": 0, "en": 0}
    for word in _WORD.findall(text.lower()):
        for language, words in _SMALL_WORDS.items():
            scores[language] += 2 * (word in words)
        scores["pt"] += 2 * bool(_PORTUGUESE_LETTERS.search(word))
        scores["en"] += bool(_ENGLISH_LETTERS.search(word))
    if scores["pt"] == scores["en"]:
        return otherwise
    return max(scores, key=lambda language: scores[language])


def likeliest(ranked: Sequence[tuple[str, float]], among: Sequence[str]) -> str:
    """The best of ``ranked`` (language, probability) that is one of ``among``; its first where none is."""
    probabilities = {language: probability for language, probability in ranked if language in among}
    return max(probabilities, key=lambda language: probabilities[language]) if probabilities else among[0]
