"""What the caller says: questions of the user's own, of the embedded voice, or of the scripted one."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import soxr  # type: ignore[import-untyped]

from vivavoz.engines.embedded.runtime import INSTALL, require
from vivavoz.engines.ports import EngineError
from vivavoz.engines.scripted.voice import say
from vivavoz.measuring.endpoint import Trouble
from vivavoz.measuring.sound import RATE, trimmed
from vivavoz.models import ModelError, Store

Source = Literal["auto", "embedded", "scripted"]
QUESTIONS = (
    "What can you tell me about the sea?",
    "How does a bicycle stay upright?",
    "Why do leaves fall in autumn?",
    "What does a baker do in the morning?",
)
_LONGEST_S = 20.0
_LONGEST_FILE = 64_000_000


class Speech(msgspec.Struct, frozen=True):
    """``utterances``: 24 kHz PCM, whole 20 ms frames, that begin and end audibly."""

    source: str
    utterances: list[bytes]


def speech(files: Sequence[Path], source: Source, *, scripted: bool) -> Speech:
    """``scripted``: the endpoint takes any sound for speech. Loads a model, which blocks for a second or so.
    Raises :class:`Trouble`."""
    if files:
        return Speech("WAV", [read_wav(path) for path in files])
    if source == "scripted" or (source == "auto" and scripted):
        return Speech("scripted voice", [_scripted(question) for question in QUESTIONS])
    return Speech("embedded voice", _embedded())


def read_wav(path: Path) -> bytes:
    """The sound of a WAV file of 16-bit PCM, any rate, any channels. Raises :class:`Trouble`."""
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise Trouble(f"{path}: larger than {_LONGEST_FILE // 1_000_000} MB")
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise Trouble(f"{path}: not a WAV file of PCM ({error})") from None
    if width != 2 or not rate or not channels:
        raise Trouble(f"{path}: expected 16-bit PCM, found {8 * width}-bit")
    samples = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], dtype="<i2")
    mono = samples.reshape(-1, channels).astype(np.float32).mean(axis=1)
    if len(mono) > _LONGEST_S * rate:
        raise Trouble(f"{path}: longer than {_LONGEST_S:g} s; a question of a few seconds is what is wanted")
    pcm = np.clip(soxr.resample(mono, rate, RATE), -32768, 32767).astype("<i2").tobytes()
    try:
        return trimmed(pcm)
    except IndexError:
        raise Trouble(f"{path}: nothing in it is audible") from None


def _scripted(text: str) -> bytes:
    return trimmed(b"".join(say(f"{word} ", "echo", 1.0) for word in text.split()))


def _embedded() -> list[bytes]:
    try:
        model = str(Store().locate("hibari").path())
        voice: Any = require("hibari").Hibari(model=model, threads=1)
    except (EngineError, ModelError) as error:
        raise Trouble(
            "real speech is needed, and the embedded voice is not here: give a recorded question with "
            f"--wav FILE, or {INSTALL} (--voice scripted is enough for scripted engines). {error.message}"
        ) from None
    spoken = [np.asarray(voice(question), dtype=np.float32) for question in QUESTIONS]
    return [trimmed((s * (0.6 * 32767 / float(np.abs(s).max()))).astype("<i2").tobytes()) for s in spoken]
