"""Whisper and Kokoro themselves, in their processes; skipped, with the reason, where they are not here."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
import pytest_asyncio

from vivavoz.engines.embedded.engines import EmbeddedEngines
from vivavoz.engines.embedded.plan import KOKORO, WHISPER, EmbeddedOptions, plan
from vivavoz.engines.multilingual.espeak import find_espeak
from vivavoz.engines.ports import EngineError, SpeechOptions, SttOptions
from vivavoz.models import Store

pytestmark = [pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]

OPTIONS = EmbeddedOptions(stages=("vad", "stt", "tts"), stt_model=WHISPER, tts_model=KOKORO)

PORTUGUESE = "Você pode me dizer qual é a capital do Brasil, por favor?"
ENGLISH = "Hello, the weather is rather nice today, isn't it?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines() -> AsyncIterator[EmbeddedEngines]:
    try:
        plan(OPTIONS, Store())
        find_espeak()
    except EngineError as error:
        pytest.skip(error.message)
    engines = EmbeddedEngines(OPTIONS)
    await engines.start()
    yield engines
    await engines.stop()


async def words(text: str) -> AsyncIterator[str]:
    for word in text.split(" "):
        yield word + " "


async def packets(pcm: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), 960):
        yield pcm[start : start + 960]


async def say(engines: EmbeddedEngines, text: str, voice: str = "marin", speed: float = 1.0) -> bytes:
    assert engines.tts is not None
    options = SpeechOptions(voice=voice, speed=speed)
    spoken = [speech async for speech in engines.tts.synthesize(words(text), options)]
    assert "".join(speech.text for speech in spoken) == text + " "
    assert all(len(speech.pcm) < 8 * 48_000 for speech in spoken)
    return b"".join(speech.pcm for speech in spoken)


async def hear(engines: EmbeddedEngines, pcm: bytes, language: str | None = None) -> str:
    assert engines.stt is not None
    heard = [t async for t in engines.stt.transcribe(packets(pcm), SttOptions(language=language))]
    assert [t.final for t in heard] == [False] * (len(heard) - 1) + [True]
    assert "".join(t.text for t in heard[:-1]) == heard[-1].text
    return heard[-1].text


def missed(said: str, heard: str) -> set[str]:
    """Words of ``said`` that were not heard."""

    def plain(text: str) -> set[str]:
        kept = "".join(c if c.isalnum() or c.isspace() else " " for c in text.lower())
        return set(kept.split())

    return plain(said) - plain(heard)


def padded(pcm: bytes) -> bytes:
    return bytes(9600) + pcm + bytes(24_000)


@pytest.mark.parametrize(("voice", "language"), [("marin", "pt"), ("cedar", None)])
async def test_portuguese_that_is_said_is_heard(
    engines: EmbeddedEngines, voice: str, language: str | None
) -> None:
    pcm = await say(engines, PORTUGUESE, voice)
    assert 2.0 < len(pcm) / 48_000 < 8.0
    heard = await hear(engines, padded(pcm), language)
    assert len(missed(PORTUGUESE, heard)) <= 2, heard


async def test_english_is_told_from_it(engines: EmbeddedEngines) -> None:
    if importlib.util.find_spec("hibari") is None:
        pytest.skip("the package hibari-tts, which knows English phonemes, is not installed")
    heard = await hear(engines, padded(await say(engines, ENGLISH)))
    assert len(missed(ENGLISH, heard)) <= 2, heard


async def test_speed(engines: EmbeddedEngines) -> None:
    slow, fast = (
        await say(engines, "Bom dia a todos.", speed=0.7),
        await say(engines, "Bom dia a todos.", speed=1.4),
    )
    assert len(slow) > 1.4 * len(fast)


async def test_the_first_clause_is_spoken_before_the_text_is_complete(engines: EmbeddedEngines) -> None:
    assert engines.tts is not None
    more = asyncio.Event()

    async def text() -> AsyncIterator[str]:
        yield "Claro que sim, "
        await more.wait()
        yield "o trem sai às oito."

    async with aclosing(engines.tts.synthesize(text(), SpeechOptions())) as spoken:  # type: ignore[type-var]
        first = await anext(spoken)
        assert first.text == "Claro que sim, "
        more.set()
        assert [speech.text async for speech in spoken] == ["o trem sai às oito."]


@pytest.mark.parametrize("kind", ["silence", "noise", "hum"])
async def test_nothing_is_heard_where_nothing_is_said(engines: EmbeddedEngines, kind: str) -> None:
    time = np.arange(4 * 24_000) / 24_000
    sound = {
        "silence": np.zeros_like(time),
        "noise": np.random.default_rng(1).normal(0, 0.02, len(time)),
        "hum": 0.1 * np.sin(2 * np.pi * 100 * time),
    }[kind]
    assert await hear(engines, (sound * 32_767).astype("<i2").tobytes(), "pt") == ""


async def test_calls_that_speak_at_once_hear_their_own_words(engines: EmbeddedEngines) -> None:
    said = ["Eu moro numa casa amarela.", "O gato dorme na cadeira."]
    sounds = [await say(engines, text) for text in said]
    heard = await asyncio.gather(*(hear(engines, padded(pcm), "pt") for pcm in sounds))
    for text, words_heard in zip(said, heard, strict=True):
        assert len(missed(text, words_heard)) <= 1, (text, words_heard)


async def test_a_long_turn_is_cut_and_joined(engines: EmbeddedEngines) -> None:
    # Two sentences that differ: of one said twice, Whisper may write one.
    first = "O trem para o Porto sai da estação às oito e meia, e chega antes do almoço."
    second = "Depois vamos visitar a livraria nova no centro, e voltamos para casa de noite."
    pcm = await say(engines, f"{first} {second}", "cedar")
    assert len(pcm) > 9 * 48_000
    heard = await hear(engines, padded(pcm), "pt")
    assert len(missed(first, heard)) <= 4, heard
    assert len(missed(second, heard)) <= 4, heard
