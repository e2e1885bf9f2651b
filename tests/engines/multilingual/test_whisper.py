"""Whisper's adapter around a model that is none: windows, languages, loops, limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vivavoz.engines.embedded.segments import Speech
from vivavoz.engines.multilingual.whisper import WhisperStt, _Hearing
from vivavoz.engines.ports import EngineError

CLEAR = Speech(0, 100, 80)


def loud(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full(int(16_000 * seconds), 0.1, np.float32)


class FakeWhisper:
    """What the adapter uses of ``faster_whisper.WhisperModel``."""

    def __init__(self, *texts: str, languages: list[tuple[str, float]] | None = None) -> None:
        self.texts = list(texts)
        self.languages = languages or [("<|gl|>", 0.5), ("<|pt|>", 0.4), ("<|en|>", 0.1)]
        self.windows: list[int] = []
        self.asked: list[dict[str, Any]] = []
        self.detections = 0
        self.supported_languages = ["pt", "en", "es", "fr", "de", "it", "gl"]
        self.hf_tokenizer = None
        self.model = self
        self.doubt = (0.0, -0.2)

    def feature_extractor(self, samples: Any) -> Any:
        return np.zeros((80, len(samples) // 160 + 1), np.float32)

    def encode(self, features: Any) -> Any:
        self.windows.append(features.shape[1])
        return features

    def detect_language(self, encoded: Any) -> Any:
        self.detections += 1
        return [self.languages]

    def generate(self, encoded: Any, prompts: Any, **options: Any) -> Any:
        self.asked.append({"prompt": prompts[0], **options})
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        no_speech, score = self.doubt
        return [SimpleNamespace(sequences_ids=[text], scores=[score], no_speech_prob=no_speech)]


class FakeTokenizer:
    sot_prev, no_timestamps = 900, 999

    def __init__(self, tokenizer: Any, multilingual: bool, task: str, language: str) -> None:
        self.sot_sequence = [1, language, task]

    def encode(self, text: str) -> list[int]:
        return list(range(len(text)))

    def decode(self, text: str) -> str:
        return f" {text}"


def stt(model: FakeWhisper, **options: Any) -> WhisperStt:
    made = WhisperStt("/nowhere", "/nowhere", **options)
    made._model, made._tokenizer = model, FakeTokenizer
    return made


@pytest.mark.parametrize(
    ("seconds", "window"), [(1.0, 1000), (5.0, 1500), (7.9, 1500), (8.0, 3000), (25, 3000)]
)
def test_short_speech_is_heard_in_a_shorter_window(seconds: float, window: int) -> None:
    model = FakeWhisper("Olá.")
    stt(model)._hear(loud(seconds), CLEAR, "pt", None)
    assert model.windows == [window]


def test_the_answer_is_no_longer_than_the_sound_allows() -> None:
    model = FakeWhisper("Olá.")
    stt(model)._hear(loud(2.0), CLEAR, "pt", None)
    assert model.asked[0]["prompt"] == [1, "pt", "transcribe", 999]
    assert model.asked[0]["max_length"] == 4 + 8 + 16
    assert model.asked[0]["beam_size"] == 1


def test_the_end_of_the_session_s_prompt_is_told_to_the_model() -> None:
    model = FakeWhisper("Olá.")
    stt(model)._hear(loud(2.0), CLEAR, "pt", "x" * 500)
    prompt = model.asked[0]["prompt"]
    assert prompt[0] == FakeTokenizer.sot_prev
    assert prompt[1:-4] == list(range(501 - 96, 501))
    assert model.asked[0]["max_length"] == len(prompt) + 24


def test_a_loop_is_heard_again_in_the_whole_window_and_without_repetition() -> None:
    model = FakeWhisper("las " * 30, "Las casas.")
    heard = stt(model)._hear(loud(2.0), CLEAR, "es", "prompt")
    assert heard.text == "Las casas."
    assert model.windows == [1000, 3000]
    assert model.asked[1]["no_repeat_ngram_size"] == 4
    assert FakeTokenizer.sot_prev not in model.asked[1]["prompt"]


def test_a_loop_that_stays_is_said_once() -> None:
    assert stt(FakeWhisper("Las " + "las " * 30))._hear(loud(2.0), CLEAR, "es", None).text.count("las") <= 1


def test_what_the_model_doubts_itself_is_not_heard() -> None:
    model = FakeWhisper("Qualquer coisa.")
    model.doubt = (0.9, -1.4)
    assert stt(model)._hear(loud(2.0), CLEAR, "pt", None).text == ""


def test_a_named_language_is_taken_and_another_found_out() -> None:
    engine = stt(FakeWhisper("Olá."))
    assert engine.language("pt-BR") == "pt"
    assert engine.language("gl") == "gl"
    assert engine.language("xx") is None
    assert engine.language(None) is None
    configured = stt(FakeWhisper("Olá."), language="pt-PT")
    assert configured.language(None) == configured.language("xx") == "pt"
    assert configured.language("en") == "en"


async def test_an_utterance_stays_in_the_language_that_it_began_in() -> None:
    model = FakeWhisper("Bom dia a todos.")
    engine = stt(model)
    try:
        hearing = _Hearing(engine, None, None)
        assert await hearing.recognise(loud(3.0), CLEAR) == "Bom dia a todos."
        await hearing.recognise(loud(3.0), CLEAR)
        assert model.detections == 1
        assert [asked["prompt"][1] for asked in model.asked] == ["pt", "pt"]
    finally:
        engine.close()


async def test_a_word_or_two_do_not_settle_the_language() -> None:
    model = FakeWhisper("Ok.")
    engine = stt(model)
    try:
        hearing = _Hearing(engine, None, None)
        await hearing.recognise(loud(1.0), CLEAR)
        await hearing.recognise(loud(3.0), CLEAR)
        assert model.detections == 2
    finally:
        engine.close()


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    with pytest.raises(EngineError, match=r"pip install 'vivavoz\[multilingual\]'") as absent:
        WhisperStt("/nowhere", "/nowhere").load()
    assert absent.value.code == "engine_absent"
