"""A client of an engine process, looking like the engine port that it stands for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

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
from vivavoz.engines.process.client import EngineClient, Trial
from vivavoz.wire.items import Item

JUDGED_BYTES = 8 * 48_000
"""The turn model looks at the last 8 s only (24 kHz, 16 bit); no more of it travels."""


class Streams(Protocol):
    """What runs jobs in an engine process: a client, for one job or for all."""

    def stream(
        self, method: str, options: Any, inputs: AsyncIterator[Any] | None = None
    ) -> AsyncGenerator[Any, None]: ...


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

    def tentative(self) -> TentativeLlm:
        return TentativeLlm(self._client.tentative())

    def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        return _reply(self._client, items, options)

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        async with aclosing(self._client.stream("count", codec.encode_reply(items, options))) as results:
            async for data in results:
                return codec.decode_counted(data)
        raise EngineError("the engine did not count")

    async def prepare(self, items: Sequence[Item], options: ReplyOptions) -> None:
        async with aclosing(self._client.stream("prepare", codec.encode_reply(items, options))) as results:
            async for _ in results:
                pass


class TentativeLlm:
    """Ports ``Llm`` and ``Tentative``."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.keep = trial.keep

    def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        return _reply(self._trial, items, options)


class ProcessTts:
    """Port ``Tts``. ``languages``: what the model can say; None: unknown. ``quick``: a clause takes so little
    that one may be spoken in vain, although it cannot be stopped midway."""

    def __init__(
        self, client: EngineClient, languages: Sequence[str] | None = None, *, quick: bool = False
    ) -> None:
        self._client = client
        self._quick = quick
        self.languages = languages

    def tentative(self) -> TentativeTts | None:
        return TentativeTts(self._client.tentative()) if self._quick else None

    def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        return _synthesize(self._client, text, options)


class TentativeTts:
    """Ports ``Tts`` and ``Tentative``."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.keep = trial.keep

    def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        return _synthesize(self._trial, text, options)


class ProcessTurnDetector:
    """Port ``TurnDetector``."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def judge(self, pcm: bytes) -> float:
        async with aclosing(self._client.stream("judge", pcm[-JUDGED_BYTES:])) as results:
            async for data in results:
                return float(data)
        raise EngineError("the turn engine gave no judgement")


async def _reply(
    client: Streams, items: Sequence[Item], options: ReplyOptions
) -> AsyncGenerator[ReplyDelta, None]:
    async with aclosing(client.stream("reply", codec.encode_reply(items, options))) as results:
        async for data in results:
            yield codec.decode_delta(data)


async def _synthesize(
    client: Streams, text: AsyncIterator[str], options: SpeechOptions
) -> AsyncGenerator[Speech, None]:
    async with aclosing(client.stream("synthesize", msgspec.to_builtins(options), text)) as results:
        async for data in results:
            yield codec.decode_speech(data)
