"""What is believed of a recogniser that was trained on subtitles. Pure.

Whisper writes for silence and noise what stood under silent pictures: credits, thanks for watching, the names
of subtitlers. And it can fall into a loop. Both are known by their looks.
"""

from __future__ import annotations

import re
import zlib

from vivavoz.engines.embedded.segments import Speech, unloop

LOOPED = 2.4
"""Compression ratio from which a text repeats itself (OpenAI's own threshold)."""
NO_SPEECH = 0.6
"""Probability of no speech from which a text of poor probability is none,"""
POOR = -1.0
"""and the mean log probability of its tokens that is poor (OpenAI's own thresholds)."""

_WEAK_FRAMES = 14
"""Under 0.45 s of speech (32 ms frames) there is too little to believe a common invention."""
_FAINT = 0.01
"""Quieter than this (RMS, -40 dBFS) likewise."""

_CREDITS = re.compile(
    r"""
      amara\.?\s*org
    | legend(?:as?|ado)\s+(?:pel[ao]|por|adriana|e\s+sincroniza|da\s+comunidade)
    | transcrição\s+(?:e|por|de)\s+.*legend
    | legendas?\s+pedro\s+negri
    | sub(?:title[sd]?|títulos|titulado)\s+(?:by|por|realizados)
    | (?:caption|transcri(?:bed|ption))\w*\s+by
    | obrigad[oa]\s+por\s+(?:assistir|ver)
    | (?:até|nos\s+vemos)\s+(?:o|no)\s+próximo\s+vídeo
    | (?:se\s+)?inscrev\w+(?:-se)?\s+(?:no|em\s+nosso|neste)\s+canal
    | (?:deixe?\s+(?:o\s+seu|seu|um)\s+like)
    | thank(?:s|\s+you)\s+(?:so\s+much\s+)?for\s+watching
    | (?:like\s+and\s+subscribe|subscribe\s+to\s+(?:my|our|the)\s+channel)
    | ^www\.\S+$
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Nobody says these to an assistant, however clear the sound."""

_INVENTED = frozenset(
    (
        *("obrigado", "obrigada", "muito obrigado", "muito obrigada", "tchau", "tchau tchau", "e aí"),
        *("é", "a", "o", "e", "música", "aplausos", "risos"),
        *(
            "you",
            "thank you",
            "thank you very much",
            "thanks",
            "bye",
            "bye bye",
            "the",
            "i",
            "so",
            "oh",
            "uh",
        ),
        *("music", "applause", "gracias", "merci", "danke", "grazie"),
    )
)
"""What people do say, and what it also writes for a breath or a hum: believed only of clear speech."""

_ANNOTATION = re.compile(r"[\[(*♪♫][^\])*♪♫]*[\])*♪♫]|[♪♫]+")
"""``[Música]``, ``(risos)``, ``♪``: a description of sound, not words."""


def compression(text: str) -> float:
    """How well ``text`` compresses: about 1 for a sentence, far more for a loop."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def looped(text: str) -> bool:
    return compression(text) > LOOPED


def token_limit(seconds: float) -> int:
    """The most tokens that so much sound can hold: speech has 3 to 5 a second, a loop has no end."""
    return 8 + int(8 * seconds)


def believed(text: str, speech: Speech, level: float, no_speech: float = 0.0, mean_log: float = 0.0) -> str:
    """``text`` tidied, or nothing where it was most likely invented.

    ``level``: RMS of the sound, 1 = full scale. ``no_speech``, ``mean_log``: the model's own doubts.
    """
    text = unloop(" ".join(_ANNOTATION.sub(" ", text).split()))
    words = " ".join(re.sub(r"[^\w\s']", " ", text).lower().split())
    if not words or _CREDITS.search(text):
        return ""
    if no_speech > NO_SPEECH and mean_log < POOR:
        return ""
    weak = speech.frames < _WEAK_FRAMES or level < _FAINT or no_speech > NO_SPEECH
    return "" if weak and words in _INVENTED else text
