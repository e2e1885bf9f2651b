"""A client of an engine process, looking like the engine port that it stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from vivavoz.engines.ports import (
    Counted,
    EngineError,
    ReplyDelta,
    ReplyOptions,
    Speech,
    SpeechOptions,
    SttOptions,
    Transcript,
    Window,
)
from vivavoz.engines.process import codec
from vivavoz.engines.process.client import EngineClient
from vivavoz.wire.items import Item

JUDGED_BYTES = 8 * 48_000
"""The turn model looks at the last 8 s only (24 kHz, 16 bit); no more of it travels."""


class ProcessStt:
    """Port ``Stt``."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        stream = self._client.stream("transcribe", msgspec.to_builtins(options), audio)
        async with aclosing(stream) as results:
            async for data in results:
                yield codec.decode_transcript(data)


class ProcessLlm:
    """Ports ``Llm``, ``Counts`` and ``Prepares``."""

    def __init__(self, client: EngineClient, window: Window | None = None) -> None:
        self._client = client
        self.window = window

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        stream = self._client.stream("reply", codec.encode_reply(items, options))
        async with aclosing(stream) as results:
            async for data in results:
                yield codec.decode_delta(data)

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        async with aclosing(self._client.stream("count", codec.encode_reply(items, options))) as results:
            async for data in results:
                return codec.decode_counted(data)
        raise EngineError("the engine did not count")

    async def prepare(self, items: Sequence[Item], options: ReplyOptions) -> None:
        async with aclosing(self._client.stream("prepare", codec.encode_reply(items, options))) as results:
            async for _ in results:
                pass


class ProcessTts:
    """Port ``Tts``. ``languages``: what the model can say; None: unknown."""

    def __init__(self, client: EngineClient, languages: Sequence[str] | None = None) -> None:
        self._client = client
        self.languages = languages

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        stream = self._client.stream("synthesize", msgspec.to_builtins(options), text)
        async with aclosing(stream) as results:
            async for data in results:
                yield codec.decode_speech(data)


class ProcessTurnDetector:
    """Port ``TurnDetector``."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def judge(self, pcm: bytes) -> float:
        async with aclosing(self._client.stream("judge", pcm[-JUDGED_BYTES:])) as results:
            async for data in results:
                return float(data)
        raise EngineError("the turn engine gave no judgement")
