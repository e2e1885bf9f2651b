"""The protocol's voice names on an engine that has one voice.

The one voice is made to sound larger or smaller: the model speaks faster or slower by a factor and the sound
is then stretched back, which moves pitch and formants together, as a longer or shorter throat does, and keeps
the pace. Within about 20 % that stays natural. The names differ audibly; they are not the hosted voices.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT = "alloy"

VOICES: Mapping[str, float] = {
    "alloy": 0.96,
    "ash": 0.84,
    "ballad": 0.90,
    "cedar": 0.82,
    "coral": 1.04,
    "echo": 0.87,
    "marin": 1.00,
    "sage": 0.93,
    "shimmer": 1.08,
    "verse": 0.89,
}
"""Pitch and formants relative to the model's own voice (below 1: deeper)."""


def shift(voice: str) -> float:
    """The factor of a voice; names we do not know sound like the default."""
    return VOICES.get(voice.lower(), VOICES[DEFAULT])
