"""A voice behind ``/audio/speech``: a request a clause, its sound passed on as it arrives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from vivavoz.engines.ports import BYTES_PER_MS, Speech, SpeechOptions
from vivavoz.engines.remote.clauses import cut
from vivavoz.engines.remote.client import Endpoint
from vivavoz.engines.spec import RemoteStage

CHUNK = 100 * BYTES_PER_MS
"""Sound is passed on in pieces of at least this much."""
LONGEST_CHUNK = 500 * BYTES_PER_MS
TAIL = 40 * BYTES_PER_MS
"""Held back until the clause is complete, so that its last words have sound to go with."""
CHARACTERS_PER_SECOND = 15.0
"""The pace at which words are assigned to sound: the protocol does not tell where each one lies."""
LONGEST_CLAUSE = 120_000 * BYTES_PER_MS
"""No clause takes two minutes: a stream that does not end is cut off."""

_PAUSE = bytes(20 * BYTES_PER_MS)


class RemoteTts:
    """Speaks clause by clause. A voice named in the configuration takes the place of the session's."""

    def __init__(self, stage: RemoteStage) -> None:
        self._endpoint = Endpoint(stage, "voice")
        self._voice = stage.voice

    async def close(self) -> None:
        await self._endpoint.close()

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        async with aclosing(cut(text)) as clauses:
            async for clause in clauses:
                async with aclosing(self._speak(clause, options)) as sound:
                    async for speech in sound:
                        yield speech

    async def _speak(self, clause: str, options: SpeechOptions) -> AsyncGenerator[Speech, None]:
        if not any(character.isalnum() for character in clause):
            yield Speech(pcm=_PAUSE, text=clause)
            return
        endpoint = self._endpoint
        request: dict[str, Any] = {"extra_headers": endpoint.headers}
        if options.speed != 1.0:
            request["speed"] = options.speed
        reading = _Reading(clause, options.speed, endpoint)
        with endpoint.failures():
            opening = endpoint.client.audio.speech.with_streaming_response.create(
                input=clause.strip(),
                model=endpoint.model,
                voice=self._voice or options.voice,
                response_format="pcm",
                **request,
            )
            async with opening as response:
                reading.check_type(response.headers.get("content-type", ""))
                chunks = response.iter_bytes()
                with endpoint.failures(reading=True):
                    while True:
                        async with asyncio.timeout(endpoint.timeout):
                            chunk = await anext(chunks, None)
                        if chunk is None:
                            break
                        for speech in reading.feed(chunk):
                            yield speech
        yield reading.finish()


class _Reading:
    """Sound of one clause as it arrives, and the words that go with each piece of it."""

    def __init__(self, clause: str, speed: float, endpoint: Endpoint) -> None:
        self._words = re.findall(r"\s*\S+\s*\Z|\s*\S+", clause)
        self._pace = CHARACTERS_PER_SECOND * speed / (1000 * BYTES_PER_MS)
        self._endpoint = endpoint
        self._pcm = bytearray()
        self._begun = False
        self._sent = 0
        self._sent_characters = 0

    def check_type(self, content_type: str) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        if kind in ("audio/mpeg", "audio/mp3", "audio/ogg", "audio/opus", "audio/flac", "audio/aac") or (
            kind in ("application/json", "text/html", "text/plain")
        ):
            raise self._wrong(f"sent {kind}")

    def feed(self, data: bytes) -> list[Speech]:
        self._pcm += data
        if not self._begun:
            if len(self._pcm) < 4:
                return []
            self._begin()
        speech: list[Speech] = []
        while len(self._pcm) >= CHUNK + TAIL:
            size = min(len(self._pcm) - TAIL, LONGEST_CHUNK) & ~1
            pcm = bytes(self._pcm[:size])
            del self._pcm[:size]
            self._sent += size
            speech.append(Speech(pcm=pcm, text=self._words_until(self._sent)))
        if self._sent > LONGEST_CLAUSE:
            raise self._endpoint.error("did not end a sentence", "engine_bad_response")
        return speech

    def finish(self) -> Speech:
        """The held-back rest, with all words that are left."""
        pcm = bytes(self._pcm[: len(self._pcm) & ~1])
        if not self._sent and not pcm:
            raise self._endpoint.error("sent no sound", "engine_bad_response")
        text = "".join(self._words)
        self._words = []
        return Speech(pcm=pcm, text=text)

    def _begin(self) -> None:
        """Some servers wrap PCM in a WAV header: take it off if what it holds is what we asked for."""
        self._begun = True
        if self._pcm.startswith((b"ID3", b"OggS", b"fLaC")):
            raise self._wrong("sent compressed sound")
        if not self._pcm.startswith(b"RIFF"):
            return
        if len(self._pcm) < 44:
            self._begun = False
            return
        header = bytes(self._pcm[:44])
        channels, rate = header[22], int.from_bytes(header[24:28], "little")
        bits = int.from_bytes(header[34:36], "little")
        if (channels, rate, bits) != (1, 24_000, 16) or header[36:40] != b"data":
            raise self._wrong(f"sent WAV with {channels} channel(s), {rate} Hz, {bits} bits")
        del self._pcm[:44]

    def _wrong(self, what: str) -> Exception:
        return self._endpoint.error(f"{what}, not PCM (mono, 24 kHz, 16 bits)", "engine_bad_response")

    def _words_until(self, position: int) -> str:
        text = ""
        while len(self._words) > 1 and self._sent_characters <= position * self._pace:
            word = self._words.pop(0)
            self._sent_characters += len(word)
            text += word
        return text
