"""Cutting a growing text into clauses to speak, early at first: the voice starts before the text ends.

Pure. Every character comes out exactly once, in order.
"""

from __future__ import annotations

import re

FIRST_COMMA_WORDS = 4
"""The first clause may end at a comma behind so many words,"""
FIRST_WORDS = 14
"""or anywhere behind so many."""
COMMA_WORDS = 8
"""Later clauses end at a comma only where they are long, since every cut costs some melody,"""
MAX_WORDS = 18
"""and are never longer than this (5 to 6 s)."""
MAX_CHARACTERS = 200
"""Where there are no words to count (or one endless word)."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|\n+\s*|[。！？]+")
_COMMA = re.compile(r"[,;:—–][\"'”’)\]]*\s+|[，；、]")
_WORD = re.compile(r"\S+\s+")
_NO_END = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|dra|prof|profa|sr|sra|av|jr|st|vs|etc|e\.g|i\.e|no|approx|dept|inc|ltd)|\b[A-Z]|^\s*\d+)\.\s+$",
    re.IGNORECASE,
)
"""A full stop behind a title, an initial or the number of a list ends no sentence."""


class Clauses:
    """One reply's text."""

    def __init__(self, first_comma_words: int = FIRST_COMMA_WORDS, first_words: int = FIRST_WORDS) -> None:
        """Where the first clause may end: a slow voice wants it shorter."""
        self._first_limits = first_comma_words, first_words
        self._rest = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        """The clauses that ``text`` completes."""
        self._rest += text
        clauses = []
        while (end := self._end()) is not None:
            clauses.append(self._rest[:end])
            self._rest = self._rest[end:]
            self._first = self._first and not speakable(clauses[-1])
        return clauses

    def flush(self) -> list[str]:
        """What is left at the end of the text."""
        rest, self._rest = self._rest, ""
        return [rest] if rest else []

    def _end(self) -> int | None:
        text = self._rest
        for found in _SENTENCE_END.finditer(text):
            # White space may go on in the next piece of text: it belongs to this clause, or to the next one.
            if not _NO_END.search(text[: found.end()]):
                return self._capped(found.end())
        least, most = self._first_limits if self._first else (COMMA_WORDS, MAX_WORDS)
        for found in _COMMA.finditer(text):
            if len(text[: found.end()].split()) >= least:
                return self._capped(found.end())
        return self._capped(None, most)

    def _capped(self, end: int | None, most: int = MAX_WORDS) -> int | None:
        """``end``, or an earlier end where the clause would be too long."""
        text = self._rest if end is None else self._rest[:end]
        words = list(_WORD.finditer(text))
        if len(words) > most:
            return words[most - 1].end()
        if len(text) > MAX_CHARACTERS:
            fitting = [word.end() for word in words if word.end() <= MAX_CHARACTERS]
            return fitting[-1] if fitting else MAX_CHARACTERS
        return end


def speakable(text: str) -> bool:
    """Whether there is anything to say in it: a letter or a digit."""
    return any(character.isalnum() for character in text)
