"""What the SDK says and hears over a WebSocket, in every format and at every speed."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI

from tests.pitch import pitch
from tests.server.test_end_to_end import KEY, config, serving
from tests.speech import scripted_speech, silence
from vivavoz.engines.scripted.voice import PITCH
from vivavoz.media.g711 import LAWS, StreamDecoder, StreamEncoder

FORMATS = ("audio/pcm", "audio/pcmu", "audio/pcma")


def wire_format(name: str) -> dict[str, Any]:
    return {"type": name, "rate": 24_000} if name == "audio/pcm" else {"type": name}


def encoded(pcm: bytes, name: str) -> bytes:
    """What a client sends: G.711 is 8 kHz, a byte a sample."""
    return pcm if name == "audio/pcm" else StreamEncoder(LAWS[_law(name)]).encode(pcm)


def decoded(sound: bytes, name: str) -> bytes:
    return sound if name == "audio/pcm" else StreamDecoder(LAWS[_law(name)]).decode(sound)


def _law(name: str) -> Any:
    return name.removeprefix("audio/")


def seconds(pcm: bytes) -> float:
    return len(pcm) / 48_000


async def configure(connection: Any, heard: str, said: str, **output: Any) -> None:
    audio = {
        "input": {
            "format": wire_format(heard),
            "transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
        },
        "output": {"format": wire_format(said), **output},
    }
    await connection.session.update(session={"type": "realtime", "audio": audio})


async def answer(connection: Any) -> tuple[bytes, dict[str, Any]]:
    """The sound of one response, and the other events until it was over, by type."""
    sound, events = b"", {}
    async with asyncio.timeout(60):
        async for event in connection:
            assert event.type != "error", event
            if event.type == "response.output_audio.delta":
                sound += base64.b64decode(event.delta)
            else:
                events[event.type] = event
            if event.type == "response.done":
                assert event.response.status == "completed"
                return sound, events
    raise AssertionError("the connection closed before the response was done")


async def said(url: str, text: str, name: str = "audio/pcm", **output: Any) -> bytes:
    """What is answered to ``text``, as PCM."""
    async with (
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await configure(connection, "audio/pcm", name, **output)
        part = {"type": "input_text", "text": text}
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [part]})
        await connection.response.create()
        sound, _ = await answer(connection)
        return decoded(sound, name)


@pytest.mark.parametrize(
    ("heard", "spoken"),
    [*((name, name) for name in FORMATS), ("audio/pcmu", "audio/pcm"), ("audio/pcm", "audio/pcma")],
)
async def test_a_spoken_turn_in_every_format(heard: str, spoken: str, tmp_path: Path) -> None:
    speech = silence(0.3) + scripted_speech("what is the weather like today") + silence(0.8)
    data = encoded(speech, heard)
    async with (
        serving(config(tmp_path), KEY) as url,
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await configure(connection, heard, spoken)
        step = len(data) // 100 * 2
        for start in range(0, len(data), step):
            await connection.input_audio_buffer.append(
                audio=base64.b64encode(data[start : start + step]).decode()
            )
        sound, events = await answer(connection)
    started = events["input_audio_buffer.speech_started"].audio_start_ms
    stopped = events["input_audio_buffer.speech_stopped"].audio_end_ms
    length = 1000 * seconds(speech)
    # 300 ms of padding before it, 300 ms of silence behind it, whatever it came in.
    assert 0 <= started <= 120
    assert length - 800 + 100 <= stopped <= length
    assert events["conversation.item.input_audio_transcription.completed"].transcript
    pcm = decoded(sound, spoken)
    usage = events["response.done"].response.usage.output_token_details.audio_tokens
    # One token is 50 ms.
    assert abs(seconds(pcm) - usage * 0.05) <= 0.06
    assert np.frombuffer(pcm, dtype="<i2").astype(float).std() > 1000


async def test_the_same_answer_sounds_the_same_in_every_format(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url:
        plain = await said(url, "Hello there", voice="coral")
        assert abs(pitch(plain) / PITCH["coral"] - 1) < 0.03
        for name in FORMATS[1:]:
            narrow = await said(url, "Hello there", name, voice="coral")
            assert abs(seconds(narrow) - seconds(plain)) < 0.02
            assert abs(pitch(narrow) / pitch(plain) - 1) < 0.02


async def test_speed_is_applied_over_the_protocols_whole_range(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url:
        sounds = {speed: await said(url, "Hello there", speed=speed) for speed in (0.25, 0.5, 1.0, 1.5)}
    for speed, sound in sounds.items():
        assert abs(seconds(sound) * speed / seconds(sounds[1.0]) - 1) < 0.05
        assert abs(pitch(sound) / pitch(sounds[1.0]) - 1) < 0.05


async def test_a_speed_beyond_the_range_is_refused(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.recv()
        for speed in (0.2, 1.51, 0):
            await connection.session.update(
                session={"type": "realtime", "audio": {"output": {"speed": speed}}}
            )
            event = await connection.recv()
            assert event.type == "error"
            assert event.error.param == "session.audio.output.speed"
