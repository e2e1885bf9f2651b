"""What listeners say without wanting the word: "mm-hm", "yeah", "pois"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

ENGLISH = (
    "ah", "aha", "alright", "all right", "cool", "exactly", "er", "fine", "good", "got it", "great", "hm",
    "hmm", "huh", "i see", "indeed", "mhm", "mhmm", "mm", "mm-hm", "mm-hmm", "mmhm", "mmhmm", "mmm", "nice",
    "of course", "oh", "ok", "okay", "right", "sure", "true", "uh", "uh-huh", "uh-hum", "um", "wow", "yeah",
    "yep", "yes", "yup",
)  # fmt: skip
PORTUGUESE = (
    "ah", "aham", "ahã", "beleza", "bem", "bom", "certo", "claro", "com certeza", "é", "entendi", "está bem",
    "está bom", "exatamente", "exato", "hã", "hum", "hum-hum", "humm", "isso", "já", "legal", "ok",
    "percebi", "pois", "pois é", "sei", "sim", "tá", "tá bom", "tá certo", "uhum", "verdade",
)  # fmt: skip
BACK_CHANNELS = tuple(sorted({*ENGLISH, *PORTUGUESE}))


def telling(text: str, phrases: Iterable[str], *, open: bool = False) -> int:
    """How many words of ``text`` are left without the back-channels in it. ``open``: more may follow, so
    words at its end that begin a back-channel do not count yet."""
    known = _known(tuple(phrases))
    words = words_of(text)
    longest = max(map(len, known), default=0)
    count = at = 0
    while at < len(words):
        sizes = range(min(longest, len(words) - at), 0, -1)
        size = next((size for size in sizes if words[at : at + size] in known), 0)
        rest = words[at:]
        if not size and open and any(phrase[: len(rest)] == rest for phrase in known):
            break
        count += not size
        at += size or 1
    return count


def words_of(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


@lru_cache(maxsize=16)
def _known(phrases: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(words for phrase in phrases if (words := words_of(phrase)))
