"""Cuts the text of a reply, as it arrives, into pieces worth a request of their own."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

FIRST_WORDS = 4
"""The first piece may end at a comma once it has so many words: the first sound must leave early."""
FIRST_LONGEST_WORDS = 14
LATER_LEAST = 40
"""Characters below which a later piece does not end at a sentence: short sentences share a request."""
LONGEST = 300
"""Characters after which a piece ends at the next space, and soon without one."""

_SENTENCE = re.compile(r"[.!?…。！？]+[\"')\]»”’]*(?=\s)|[。！？]|\n")
_NO_SENTENCE = re.compile(r"(?:\b(?:mr|mrs|ms|dr|prof|sr|sra|st|vs|e\.g|i\.e|\w)|^\s*\d+)\.$", re.IGNORECASE)
"""A full stop after a title, an initial or a list's number ends no sentence."""
_CLAUSE = re.compile(r"[,;:—–](?=\s)|[、，；：]")


async def cut(text: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """The pieces of ``text``, each as soon as it is complete."""
    cutter = ClauseCutter()
    async for part in text:
        for piece in cutter.feed(part):
            yield piece
    for piece in cutter.finish():
        yield piece


class ClauseCutter:
    """Feed it text, get pieces. They join to exactly the text; at most :data:`LONGEST` characters and a
    word are held."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        self._text += text
        pieces: list[str] = []
        while (end := self._end()) is not None:
            pieces.append(self._text[:end])
            self._text = self._text[end:]
            self._first = False
        return pieces

    def finish(self) -> list[str]:
        text, self._text = self._text, ""
        return [text] if text else []

    def _end(self) -> int | None:
        least = 0 if self._first else LATER_LEAST
        for match in _SENTENCE.finditer(self._text):
            before = self._text[: match.end()]
            if match.end() >= least and before.strip() and not _NO_SENTENCE.search(before):
                return match.end()
        if self._first:
            for match in _CLAUSE.finditer(self._text):
                if len(self._text[: match.end()].split()) >= FIRST_WORDS:
                    return match.end()
            words = [match.end() for match in re.finditer(r"\S+(?=\s)", self._text)]
            if len(words) >= FIRST_LONGEST_WORDS:
                return words[FIRST_LONGEST_WORDS - 1]
        if len(self._text) <= LONGEST:
            return None
        space = self._text.rfind(" ", 1, LONGEST)
        return space if space > 0 else LONGEST
