"""Kokoro's adapter around a model that hums: what is spoken, in which language, with which speaker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vivavoz.engines.multilingual.kokoro import KokoroTts
from vivavoz.engines.multilingual.phonemes import Phonemes
from vivavoz.engines.multilingual.voices import SPEAKERS
from vivavoz.engines.ports import EngineError, Speech, SpeechOptions


class Hum:
    """An ONNX session that hums 10 ms a symbol, and remembers what it was given."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.options: list[Any] = []

    def run(self, outputs: Any, inputs: dict[str, Any], options: Any = None) -> list[Any]:
        self.options.append(options)
        self.inputs.append(inputs)
        return [np.full(240 * inputs["tokens"].shape[1], 0.5, np.float32)]


class Letters:
    """An eSpeak that spells."""

    def phonemes(self, text: str, voice: str) -> str:
        return " ".join(text.lower().split())


@pytest.fixture
def hum() -> Hum:
    return Hum()


def tts(hum: Hum, language: str | None = None) -> KokoroTts:
    made = KokoroTts("/nowhere", {}, language=language)
    made._session, made._run_options = hum, SimpleNamespace
    made._phonemes = Phonemes(Letters(), lambda text: text.lower())
    # The number of each speaker stands in every row of his style.
    names = [name for speakers in SPEAKERS.values() for name in speakers.values()]
    made._styles = {name: np.full((510, 256), n, np.float32) for n, name in enumerate(names)}
    return made


def speakers(hum: Hum) -> list[str]:
    names = [name for speakers in SPEAKERS.values() for name in speakers.values()]
    return [names[int(inputs["style"][0, 0])] for inputs in hum.inputs]


async def say(engine: KokoroTts, text: str, **options: Any) -> list[Speech]:
    async def pieces() -> AsyncIterator[str]:
        for start in range(0, len(text), 3):
            yield text[start : start + 3]

    try:
        return [speech async for speech in engine.synthesize(pieces(), SpeechOptions(**options))]
    finally:
        engine.close()


@pytest.mark.parametrize(
    "text",
    [
        "Sim, claro. O trem sai às oito e meia.",
        "Bom dia!\n\n- Primeiro: **pão** — depois, café…  ",
        "…",
        "漢字. Olá.",
        "",
    ],
)
async def test_the_texts_of_the_chunks_join_to_the_text(hum: Hum, text: str) -> None:
    spoken = await say(tts(hum), text)
    assert "".join(speech.text for speech in spoken) == text
    assert all(speech.pcm and len(speech.pcm) % 2 == 0 for speech in spoken)


async def test_the_first_clause_is_short(hum: Hum) -> None:
    first, *rest = await say(
        tts(hum), "Com certeza posso, o trem para a cidade do Porto sai da estação às oito."
    )
    assert first.text == "Com certeza posso, "
    assert len(rest) == 1


async def test_each_clause_is_said_in_its_language_by_the_voice_s_speaker_of_it(hum: Hum) -> None:
    await say(tts(hum), "Bom dia para você. How are you today? Fine! Eu também estou bem.", voice="cedar")
    assert speakers(hum) == ["pm_alex", "am_michael", "am_michael", "pm_alex"]


async def test_a_configured_language_is_not_guessed(hum: Hum) -> None:
    await say(tts(hum, "pt-BR"), "How are you today?", voice="marin")
    assert speakers(hum) == ["pf_dora"]


async def test_speed_and_pitch_reach_the_model(hum: Hum) -> None:
    (plain,) = await say(tts(hum), "Olá, mundo.", voice="marin")
    (fast,) = await say(tts(hum), "Olá, mundo.", voice="marin", speed=1.5)
    (deep,) = await say(tts(hum), "Olá, mundo.", voice="alloy", speed=99.0)
    speeds = [float(inputs["speed"][0]) for inputs in hum.inputs]
    assert speeds == pytest.approx([1.0, 1.5, 2.0 / 0.96])
    assert len(fast.pcm) < len(plain.pcm), "the pause is shorter too"
    assert len(deep.pcm) > len(fast.pcm) - 24_000


async def test_symbols_are_framed_and_the_style_fits_their_number(hum: Hum) -> None:
    await say(tts(hum), "Olá.", voice="marin")
    (inputs,) = hum.inputs
    tokens = inputs["tokens"][0]
    assert (tokens[0], tokens[-1]) == (0, 0)
    assert inputs["style"].shape == (1, 256)


async def test_a_clause_that_nobody_waits_for_is_stopped(hum: Hum) -> None:
    begun, ended = threading.Event(), threading.Event()

    def run(outputs: Any, inputs: Any, options: Any) -> list[Any]:
        begun.set()
        while not getattr(options, "terminate", False):
            ended.wait(0.001)
        ended.set()
        raise RuntimeError("terminated")

    hum.run = run  # type: ignore[method-assign]
    engine = tts(hum)
    speaking = asyncio.create_task(say(engine, "Olá, mundo."))
    await asyncio.to_thread(begun.wait, 5)
    speaking.cancel()
    assert await asyncio.to_thread(ended.wait, 5)
    with pytest.raises(asyncio.CancelledError):
        await speaking


def test_a_language_without_a_speaker_is_refused() -> None:
    with pytest.raises(EngineError, match="pt, en") as refused:
        KokoroTts("/nowhere", {}, language="ja")
    assert refused.value.code == "bad_engine_set"
