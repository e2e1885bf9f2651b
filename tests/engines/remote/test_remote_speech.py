"""Remote recognition and the remote voice."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Iterable
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from fake_openai import FakeOpenAI

from vivavoz.engines.ports import EngineError, Speech, SpeechOptions, SttOptions, Transcript
from vivavoz.engines.remote import RemoteStt, RemoteTts
from vivavoz.engines.scripted.voice import say
from vivavoz.engines.spec import RemoteStage
from vivavoz.wire.transcription import LogProb

SPEECH = say("moonlight", "alloy", 1.0) + say("serenade", "alloy", 1.0)
SOUND = (np.arange(24_000) % 4000 - 2000).astype("<i2").tobytes()  # one second


async def feed(pieces: Iterable[Any]) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


def stage(fake: FakeOpenAI, **changes: Any) -> RemoteStage:
    return RemoteStage(**{"base_url": fake.url, "model": "m", **changes})


async def hear(fake: FakeOpenAI, *pieces: bytes, **options: Any) -> list[Transcript]:
    stt = RemoteStt(stage(fake, timeout_seconds=5.0))
    try:
        return [t async for t in stt.transcribe(feed(pieces), SttOptions(**options))]
    finally:
        await stt.close()


async def speak(fake: FakeOpenAI, *pieces: str, voice: str | None = None, speed: float = 1.0) -> list[Speech]:
    tts = RemoteTts(stage(fake, voice=voice, timeout_seconds=5.0))
    try:
        options = SpeechOptions(voice="coral", speed=speed)
        return [speech async for speech in tts.synthesize(feed(pieces), options)]
    finally:
        await tts.close()


# --------------------------------------------------------------------------- recognition


def telling(text: Any) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"text": text})

    return handler


async def test_an_utterance_is_uploaded_as_wav(fake: FakeOpenAI) -> None:
    fake.transcribe = telling(" Moonlight serenade. ")
    assert await hear(fake, SPEECH[:1000], SPEECH[1000:], language="en", prompt="Music.") == [
        Transcript("Moonlight serenade.", final=True)
    ]
    [form] = fake.requests
    assert (form["model"], form["language"], form["prompt"]) == ("m", "en", "Music.")
    with wave.open(io.BytesIO(form["file"])) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(file.getnframes()) == SPEECH


async def test_log_probabilities_are_asked_for_where_they_are_wanted(fake: FakeOpenAI) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        tokens = [{"token": "Oh", "logprob": -0.25, "bytes": [79, 104]}, {"token": ".", "logprob": -1}]
        return web.json_response({"text": "Oh.", "logprobs": tokens})

    fake.transcribe = handler
    assert await hear(fake, SPEECH) == [Transcript("Oh.", final=True)]
    assert await hear(fake, SPEECH, logprobs=True) == [
        Transcript("Oh.", final=True, logprobs=[LogProb.of("Oh", -0.25), LogProb.of(".", -1.0)])
    ]
    plain, asked = fake.requests
    assert [name for name in plain if "include" in name] == []
    assert [asked[name] for name in asked if "include" in name] == ["logprobs"]


@pytest.mark.parametrize("given", [None, "none", [{"token": 3, "logprob": 0}], [{"token": "x"}]])
async def test_log_probabilities_that_are_none_are_left_out(fake: FakeOpenAI, given: Any) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"text": "Oh.", "logprobs": given})

    fake.transcribe = handler
    assert await hear(fake, SPEECH, logprobs=True) == [Transcript("Oh.", final=True)]


def test_only_who_says_so_gives_log_probabilities(fake: FakeOpenAI) -> None:
    assert RemoteStt(stage(fake, logprobs=True)).gives_logprobs
    assert not RemoteStt(stage(fake)).gives_logprobs


@pytest.mark.parametrize("pcm", [b"", bytes(96_000), SPEECH[:2400]])
async def test_silence_is_not_sent(fake: FakeOpenAI, pcm: bytes) -> None:
    assert await hear(fake, pcm) == [Transcript("", final=True)]
    assert fake.requests == []


async def test_words_that_models_invent_are_dropped(fake: FakeOpenAI) -> None:
    fake.transcribe = telling("Thanks for watching!")
    assert (await hear(fake, SPEECH))[-1].text == ""
    fake.transcribe = telling("You")
    assert (await hear(fake, say("hm", "alloy", 1.0)))[-1].text == ""
    assert (await hear(fake, SPEECH))[-1].text == "You"


@pytest.mark.parametrize(("status", "code"), [(401, "engine_auth_failed"), (500, "engine_server_error")])
async def test_failed_recognition_has_a_name(fake: FakeOpenAI, status: int, code: str) -> None:
    fake.transcribe = fake.failing(status)
    with pytest.raises(EngineError) as caught:
        await hear(fake, SPEECH)
    assert caught.value.code == code


async def test_an_answer_without_text_is_an_error(fake: FakeOpenAI) -> None:
    fake.transcribe = telling(None)
    with pytest.raises(EngineError) as caught:
        await hear(fake, SPEECH)
    assert caught.value.code == "engine_bad_response"


async def test_recognition_that_is_given_up_closes_its_request(fake: FakeOpenAI) -> None:
    fake.transcribe = fake.silent()
    stt = RemoteStt(stage(fake))
    waiting = asyncio.ensure_future(anext(stt.transcribe(feed([SPEECH]), SttOptions())))
    await fake.started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(fake.hung_up.wait(), 60)
    await stt.close()


# --------------------------------------------------------------------------- voice


async def test_a_sentence_becomes_sound_with_its_words(fake: FakeOpenAI) -> None:
    fake.speak = fake.sound(SOUND[:1001], SOUND[1001:30_001], SOUND[30_001:])
    chunks = await speak(fake, "Hello there, ", "my friend.")
    assert b"".join(chunk.pcm for chunk in chunks) == SOUND
    assert "".join(chunk.text for chunk in chunks) == "Hello there, my friend."
    assert len(chunks) > 1
    assert chunks[0].text.startswith("Hello")
    assert all(len(chunk.pcm) % 2 == 0 for chunk in chunks)
    [request] = fake.requests
    assert request == {
        "input": "Hello there, my friend.",
        "model": "m",
        "voice": "coral",
        "response_format": "pcm",
    }


async def test_speed_and_a_configured_voice_go_along(fake: FakeOpenAI) -> None:
    fake.speak = fake.sound(SOUND)
    await speak(fake, "Hello.", voice="af_heart", speed=1.25)
    assert (fake.requests[0]["voice"], fake.requests[0]["speed"]) == ("af_heart", 1.25)


async def test_the_first_clause_leaves_before_the_text_is_complete(fake: FakeOpenAI) -> None:
    fake.speak = fake.sound(SOUND)
    more = asyncio.Event()

    async def text() -> AsyncIterator[str]:
        yield "Well, this is the first part, and "
        await more.wait()
        yield "this the second."

    tts = RemoteTts(stage(fake))
    stream = tts.synthesize(text(), SpeechOptions())
    first = await asyncio.wait_for(anext(stream), 60)
    assert first.pcm
    assert fake.requests[0]["input"] == "Well, this is the first part,"
    more.set()
    rest = [chunk async for chunk in stream]
    assert first.text + "".join(chunk.text for chunk in rest) == (
        "Well, this is the first part, and this the second."
    )
    await tts.close()


async def test_text_without_a_word_is_a_pause_and_no_request(fake: FakeOpenAI) -> None:
    chunks = await speak(fake, " \n—")
    assert "".join(chunk.text for chunk in chunks) == " \n—"
    assert fake.requests == []


async def test_a_wav_header_is_taken_off(fake: FakeOpenAI) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(SOUND)
    fake.speak = fake.sound(file.getvalue()[:20], file.getvalue()[20:], content_type="audio/wav")
    assert b"".join(chunk.pcm for chunk in await speak(fake, "Hello.")) == SOUND


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"ID3\x04compressed", "application/octet-stream"),
        (b"\xff\xfbcompressed", "audio/mpeg"),
        (b'{"oh": "no"}', "application/json"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0" + bytes(20), "audio/wav"),
        (b"", "audio/pcm"),
    ],
)
async def test_sound_of_another_kind_is_refused(fake: FakeOpenAI, body: bytes, content_type: str) -> None:
    fake.speak = fake.sound(body, content_type=content_type)
    with pytest.raises(EngineError) as caught:
        await speak(fake, "Hello.")
    assert caught.value.code == "engine_bad_response"


async def test_a_voice_that_breaks_off_is_an_error(fake: FakeOpenAI) -> None:
    fake.speak = fake.broken_off(SOUND, "audio/pcm")
    with pytest.raises(EngineError) as caught:
        await speak(fake, "Hello.")
    assert caught.value.code == "engine_bad_response"


async def test_a_voice_that_refuses_is_an_error(fake: FakeOpenAI) -> None:
    fake.speak = fake.failing(429)
    with pytest.raises(EngineError) as caught:
        await speak(fake, "Hello secret.")
    assert caught.value.code == "engine_rate_limited"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_voice_that_is_given_up_closes_its_stream(fake: FakeOpenAI, how: str) -> None:
    fake.speak = fake.slow(SOUND, "audio/pcm")
    tts = RemoteTts(stage(fake))
    stream = tts.synthesize(feed(["Hello my friend."]), SpeechOptions())
    assert (await anext(stream)).pcm
    if how == "close":
        await stream.aclose()
    else:

        async def rest() -> None:
            async for _ in stream:
                pass

        waiting = asyncio.ensure_future(rest())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(fake.hung_up.wait(), 60)
    await tts.close()
