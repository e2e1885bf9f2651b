"""What is asked: files, or a voice that is here."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from vivavoz.engines.ports import EngineError
from vivavoz.measuring import speech as module
from vivavoz.measuring.endpoint import Trouble
from vivavoz.measuring.sound import audible
from vivavoz.measuring.speech import QUESTIONS, read_wav, speech


def write(path: Path, samples: np.ndarray, *, rate: int, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def tone(seconds: float, rate: int) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype("<i2")


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (24_000, 1), (44_100, 2), (48_000, 1)])
def test_a_file_of_any_rate_becomes_whole_frames_without_its_silences(
    tmp_path: Path, rate: int, channels: int
) -> None:
    silence = np.zeros(rate // 2, dtype="<i2")
    mono = np.concatenate([silence, tone(1.0, rate), silence])
    path = write(tmp_path / "q.wav", np.repeat(mono, channels), rate=rate, channels=channels)
    pcm = read_wav(path)
    assert len(pcm) % 960 == 0
    assert len(pcm) / 48_000 == pytest.approx(1.0, abs=0.03)
    first, last = audible(pcm)
    assert first is not None
    assert first < 0.02
    assert last is not None
    assert last == pytest.approx(len(pcm) / 48_000, abs=0.001)


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    write(tmp_path / "wide.wav", np.zeros(99, dtype="<i4"), rate=8000, width=4)
    write(tmp_path / "long.wav", tone(21.0, 8000), rate=8000)
    write(tmp_path / "silent.wav", np.zeros(8000, dtype="<i2"), rate=8000)
    write(tmp_path / "empty.wav", np.zeros(0, dtype="<i2"), rate=8000)
    for name, said in {
        "absent": "not a WAV file",
        "text": "not a WAV file",
        "wide": "expected 16-bit PCM, found 32-bit",
        "long": "longer than 20 s",
        "silent": "nothing in it is audible",
        "empty": "nothing in it is audible",
    }.items():
        with pytest.raises(Trouble, match=rf"{name}\.wav: {said}"):
            read_wav(tmp_path / f"{name}.wav")


def test_scripted_engines_are_asked_by_the_scripted_voice() -> None:
    asked = speech([], "auto", scripted=True)
    assert asked.source == "scripted voice"
    assert len(asked.utterances) == len(QUESTIONS)


def test_without_a_voice_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise EngineError("the package is missing", "engine_absent")

    monkeypatch.setattr(module, "require", absent)
    with pytest.raises(Trouble, match="--wav FILE"):
        speech([], "auto", scripted=False)


@pytest.mark.embedded
def test_the_embedded_voice_asks() -> None:
    pytest.importorskip("hibari", reason="the embedded voice is not installed")
    asked = speech([], "auto", scripted=False)
    assert asked.source == "embedded voice"
    assert all(len(each) > 24_000 for each in asked.utterances)
