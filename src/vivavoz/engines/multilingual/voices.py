"""The protocol's voice names on Kokoro's speakers: a woman and a man for each language.

Names that share a speaker differ by a slightly longer or shorter throat (see the English voice's
:mod:`~vivavoz.engines.embedded.voices`), so that they are told apart, and one name sounds alike in both
languages. Kokoro's own names work as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Register = Literal["woman", "man"]

DEFAULT = "alloy"

SPEAKERS: Mapping[str, Mapping[Register, str]] = {
    "pt": {"woman": "pf_dora", "man": "pm_alex"},
    "en": {"woman": "af_heart", "man": "am_michael"},
}
"""By language; each is a file of the model, ``<name>.bin``."""


class Voice(msgspec.Struct, frozen=True):
    register: Register
    pitch: float = 1.0
    """Pitch and formants relative to the speaker's own (below 1: deeper)."""

    def speaker(self, language: str) -> str:
        return SPEAKERS[language][self.register]


VOICES: Mapping[str, Voice] = {
    "alloy": Voice("woman", 0.96),
    "ash": Voice("man", 0.97),
    "ballad": Voice("man", 1.04),
    "cedar": Voice("man", 1.00),
    "coral": Voice("woman", 1.03),
    "echo": Voice("man", 1.07),
    "marin": Voice("woman", 1.00),
    "sage": Voice("woman", 0.93),
    "shimmer": Voice("woman", 1.06),
    "verse": Voice("man", 0.94),
    **{name: Voice(register) for speakers in SPEAKERS.values() for register, name in speakers.items()},
}


def voice(name: str) -> Voice:
    """Names that we do not know sound like the default."""
    return VOICES.get(name.lower(), VOICES[DEFAULT])
