"""A tiny synthetic voice: numpy, no data. Vowels are harmonics under two formants, consonants softer and,
some of them, hissing; each word has a falling pitch. Nobody mistakes it for a person; speech detectors and
people alike hear that something is being said, and how long it takes.

The same text always gives the same samples.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vivavoz.engines.ports import SAMPLE_RATE

LETTER_MS = 62
"""Length of a letter at speed 1; with the gaps some three words a second."""
GAP_MS = 45
COMMA_MS = 130
STOP_MS = 260
LONGEST_WORD = 24
"""Letters (1.5 s) after which a word is cut: no chunk is long, whatever the text is."""

PITCH = {
    "alloy": 155,
    "ash": 110,
    "ballad": 125,
    "cedar": 98,
    "coral": 205,
    "echo": 118,
    "fable": 140,
    "marin": 190,
    "nova": 215,
    "onyx": 90,
    "sage": 178,
    "shimmer": 228,
    "verse": 132,
}
"""Fundamental of each voice (Hz); no two are alike."""
SLOWEST, FASTEST = 0.25, 4.0

_RMS = 10 ** (-15 / 20) * 32768
_TABLE = 1024
_BLEND = int(0.012 * SAMPLE_RATE)
_FADE = int(0.008 * SAMPLE_RATE)
_VOWELS = {"a": (750, 1250), "e": (480, 1900), "i": (310, 2250), "o": (480, 900), "u": (330, 800)}
_HISS = frozenset("cfhkpqstxz")
_DIGIT_LETTERS = 4  # "seven" takes longer than a letter
Sound = NDArray[np.float32]


def pitch_of(voice: str) -> float:
    """Fundamental (Hz); a voice that is not known gets one of its own between 95 and 225."""
    known = PITCH.get(voice.lower())
    return float(known) if known else 95.0 + sum(voice.encode()) % 131


def say(word: str, voice: str, speed: float) -> bytes:
    """The sound (s16le, 24 kHz) of one word with its punctuation and the gap after it.

    Text without a letter or digit is a pause. Peaks stay below full scale; it starts and ends at zero.
    """
    speed = min(FASTEST, max(SLOWEST, speed))
    spoken = _spoken(word)
    pause = GAP_MS + (STOP_MS if _ends(word, ".!?…:;。！？") else COMMA_MS if _ends(word, ",—–、，") else 0)
    silence = np.zeros(int(pause * SAMPLE_RATE / 1000 / speed), dtype=np.float32)
    if not spoken:
        return silence.astype("<i2").tobytes()
    letter = int(LETTER_MS * SAMPLE_RATE / 1000 / speed)
    return np.concatenate([_voiced(spoken, pitch_of(voice), letter), silence]).astype("<i2").tobytes()


def _ends(word: str, marks: str) -> bool:
    return word.rstrip("\"')]}»”’ \n\t")[-1:] in marks if word.strip() else False


def _spoken(word: str) -> str:
    """The letters that are sounded; two at least, so that no word is over before it is heard."""
    letters = ""
    for character in word.lower():
        if character.isdigit():
            letters += "eo"[int(character) % 2 if character.isascii() else 0] * _DIGIT_LETTERS
        elif character.isalpha():
            letters += character if character.isascii() else "aeiou"[ord(character) % 5] * 2
    letters = letters[: LONGEST_WORD * _DIGIT_LETTERS]
    return letters * 2 if len(letters) == 1 else letters


def _voiced(letters: str, pitch: float, letter: int) -> Sound:
    count = len(letters) * letter
    time = np.arange(count, dtype=np.float64) / count
    accent = 1.0 + 0.06 * ((sum(letters.encode()) % 5) - 2) / 2
    frequency = pitch * accent * (1.08 - 0.16 * time)
    phase = np.cumsum(frequency / SAMPLE_RATE)
    index = ((phase % 1.0) * _TABLE).astype(np.int32)
    blend = min(_BLEND, letter // 2)
    ramp = (np.arange(blend, dtype=np.float32) + 0.5) / blend
    sound = np.zeros(count, dtype=np.float32)
    for position, character in enumerate(letters):
        # Neighbours overlap by `blend`, one fading while the other grows.
        start = max(0, position * letter - blend // 2)
        end = min(count, (position + 1) * letter - blend // 2 + blend)
        weight = np.ones(end - start, dtype=np.float32)
        if position:
            weight[:blend] = ramp
        if position < len(letters) - 1:
            weight[-blend:] = ramp[::-1]
        tone = _wavetable(character, round(pitch))[index[start:end]]
        if character in _HISS:
            tone = 0.25 * tone + _hiss()[start:end] * 0.35
        sound[start:end] += weight * tone
    fade = min(_FADE, count // 4)
    edge = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    sound[:fade] *= edge
    sound[-fade:] *= edge[::-1]
    loudness = float(np.sqrt(np.mean(sound**2))) or 1.0
    peaks: Sound = np.clip(sound * np.float32(_RMS / loudness), -30000, 30000)
    return peaks


@lru_cache(maxsize=512)
def _wavetable(character: str, pitch: int) -> Sound:
    """One period of a letter, with its formants at the right multiples of ``pitch`` (Hz). RMS 1."""
    soft = 1.0
    formants = _VOWELS.get(character)
    if formants is None:
        number = ord(character)
        formants = (250 + 40 * (number % 5), 1000 + 170 * (number % 7))
        soft = 0.55
    harmonics = np.arange(1, min(_TABLE // 4, int(4500 / pitch)) + 1)
    frequency = harmonics * float(pitch)
    strength = 0.02 / harmonics
    for centre, width, gain in ((formants[0], 90, 1.0), (formants[1], 120, 0.6), (2600, 200, 0.2)):
        strength += gain / (1.0 + ((frequency - centre) / width) ** 2)
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    # Phases spread by a quadratic (Schroeder) keep the crest of the sum low.
    spectrum[harmonics] = strength * np.exp(-1j * np.pi * harmonics**2 / len(harmonics))
    table = np.fft.irfft(spectrum)
    period: Sound = (soft * table / np.sqrt(np.mean(table**2))).astype(np.float32)
    return period


@lru_cache(maxsize=1)
def _hiss() -> Sound:
    """Noise that is the same everywhere: a multiplicative hash of the sample's number. RMS about 1."""
    count = int(LONGEST_WORD * _DIGIT_LETTERS * LETTER_MS * SAMPLE_RATE / 1000 / SLOWEST) + 1
    number = np.arange(count, dtype=np.uint32)
    number = (number ^ (number >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    number = (number ^ (number >> np.uint32(12))) * np.uint32(0x297A2D39)
    number ^= number >> np.uint32(15)
    noise: Sound = (number.astype(np.float32) / np.float32(2**31) - np.float32(1.0)) * np.float32(1.73)
    return noise
