"""The protocol's voice names on an engine that has one voice.

The one voice is made to sound larger or smaller: the model speaks faster or slower by a factor and the sound
is then stretched back, which moves pitch and formants together, as a longer or shorter throat does, and keeps
the pace. Within about 20 % that stays natural. The names differ audibly; they are not the hosted voices.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT = "alloy"

VOICES: Mapping[str, float] = {
    "cedar": 0.800,
    "ash": 0.830,
    "echo": 0.861,
    "verse": 0.894,
    "ballad": 0.928,
    "alloy": 0.963,
    "marin": 1.000,
    "sage": 1.038,
    "coral": 1.077,
    "shimmer": 1.118,
}
"""Pitch and formants relative to the model's own voice (below 1: deeper). Each is 3.8 % from the next, two
thirds of a semitone."""


def shift(voice: str) -> float:
    """The factor of a voice; names we do not know sound like the default."""
    return VOICES.get(voice.lower(), VOICES[DEFAULT])
