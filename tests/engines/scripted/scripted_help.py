"""What the tests of the scripted engines share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar

import numpy as np

from vivavoz.engines.ports import EngineError, ReplyOptions, TextDelta, ToolCallDelta
from vivavoz.engines.scripted import Script, ScriptedEngines
from vivavoz.engines.scripted.voice import say
from vivavoz.wire.items import FunctionCall, FunctionCallOutput, InputAudio, InputText, Item, Message

T = TypeVar("T")

OPTIONS = ReplyOptions(model="gpt-realtime")
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
    },
}


def speech(seconds: float = 1.0) -> bytes:
    """Synthetic speech of this length (s16le 24 kHz)."""
    pcm = b"".join(say(word, "alloy", 1.0) for word in ["moonlight", "over", "the", "river"])
    while len(pcm) < seconds * 48_000:
        pcm += pcm
    return pcm[: int(seconds * 24_000) * 2]


def silence(seconds: float = 1.0) -> bytes:
    return bytes(int(seconds * 24_000) * 2)


def rms_db(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) / 32768 + 1e-9))


async def feed(pieces: Iterable[T]) -> AsyncIterator[T]:
    for piece in pieces:
        yield piece


async def collect(stream: AsyncIterator[T]) -> list[T]:
    return [piece async for piece in stream]


async def until_failure(stream: AsyncIterator[T]) -> tuple[list[tuple[T, float]], EngineError]:
    """What came, and when on the loop's clock (s), before the stream failed; and its failure."""
    came: list[tuple[T, float]] = []
    loop = asyncio.get_running_loop()
    try:
        async for piece in stream:
            came.append((piece, round(loop.time(), 3)))  # noqa: PERF401 - kept when the stream fails
    except EngineError as error:
        return came, error
    raise AssertionError("the stream did not fail")


def user(text: str) -> Message:
    return Message(role="user", content=[InputText(text=text)])


def spoken(transcript: str | None) -> Message:
    return Message(role="user", content=[InputAudio(transcript=transcript)])


def called(output: str, call_id: str = "call_1") -> list[Item]:
    return [
        FunctionCall(name="get_weather", arguments="{}", call_id=call_id),
        FunctionCallOutput(call_id=call_id, output=output),
    ]


def engines(script: str = "") -> ScriptedEngines:
    return ScriptedEngines(Script.parse(script))


def text_of(deltas: Sequence[object]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def calls_of(deltas: Sequence[object]) -> list[tuple[str, str]]:
    """Name and joined arguments of each call."""
    calls: dict[int, tuple[str, str]] = {}
    for delta in deltas:
        if isinstance(delta, ToolCallDelta):
            name, arguments = calls.get(delta.index, ("", ""))
            calls[delta.index] = (name or delta.name, arguments + delta.arguments)
    return [calls[index] for index in sorted(calls)]
