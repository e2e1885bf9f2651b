"""Engines that may be asked in vain: what they say depends on what they are asked alone; they keep count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from vivavoz.engines.energy_vad import EnergyVad
from vivavoz.engines.ports import (
    EngineError,
    ReplyDelta,
    ReplyOptions,
    Speech,
    SpeechOptions,
    SttOptions,
    TextDelta,
    ToolCallDelta,
    Transcript,
    Usage,
)
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.engines.scripted.tts import cut
from vivavoz.wire.codec import plain
from vivavoz.wire.items import Item

PAUSE_BYTES = 100 * 48


class Drafts:
    """Hears a word for each stretch of sound, and takes it to be all after 100 ms without any. ``mishears``:
    the draft of this many words is another one."""

    def __init__(self, mishears: int = 0) -> None:
        self._mishears = mishears

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        words, quiet = 0, PAUSE_BYTES
        async for pcm in audio:
            if any(pcm):
                words += quiet >= PAUSE_BYTES
                quiet = 0
                continue
            before, quiet = quiet, quiet + len(pcm)
            if before < PAUSE_BYTES <= quiet:
                yield Transcript("huh?" if words == self._mishears else _words(words), draft=True)
        yield Transcript(_words(words), final=True)


def _words(count: int) -> str:
    return " ".join(["one", "two", "call", "three", "four", "five"][:count])


class Faults:
    """What befalls work that is done in vain: ``refuses`` to begin, ``breaks`` midway, or gives ``way``."""

    def __init__(self, *, refuses: bool = False, breaks: bool = False, way: bool = False) -> None:
        self.refuses = refuses
        self.breaks = breaks
        self.way = way


class Llm:
    """Says back what it was told last, word by word; whoever says "call" last has a function called too."""

    def __init__(self, faults: Faults | None = None, token_s: float = 0.0) -> None:
        self.token_s = token_s
        self.faults = faults or Faults()
        self.attempts = self.kept = self.asked = self.running = 0

    def tentative(self) -> Attempt:
        self.attempts += 1
        return Attempt(self)

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        self.asked += 1
        async for delta in self.say(items, options):
            yield delta

    async def say(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        self.running += 1
        try:
            said = _last(items)
            words = f"You said {said} to {options.instructions} after {len(items)}. Is that so".split()
            for number, word in enumerate(words):
                await asyncio.sleep(self.token_s)
                yield TextDelta(word if not number else f" {word}")
            if said.endswith("call"):
                for piece in ('{"a"', ": 1}"):
                    await asyncio.sleep(self.token_s)
                    yield ToolCallDelta(0, "f", piece)
            yield Usage(len(repr(said)), len(words))
        finally:
            self.running -= 1


def _last(items: Sequence[Item]) -> str:
    content: list[dict[str, Any]] = plain(items[-1]).get("content", []) if items else []
    return " ".join(part.get("transcript") or part.get("text") or "" for part in content)


class Attempt:
    def __init__(self, llm: Llm) -> None:
        self._llm = llm

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        faults = self._llm.faults
        if faults.refuses:
            raise EngineError("busy", "engine_busy")
        said = 0
        async for delta in self._llm.say(items, options):
            said += 1
            if said == 3 and faults.breaks:
                raise ValueError("a bug")
            yield delta

    async def keep(self) -> bool:
        self._llm.kept += not self._llm.faults.way
        return not self._llm.faults.way


class Tts:
    """A chunk a word."""

    def __init__(self, faults: Faults | None = None, word_s: float = 0.0) -> None:
        self.word_s = word_s
        self.faults = faults or Faults()
        self.attempts = self.kept = self.asked = self.running = 0

    def tentative(self) -> Tryout:
        self.attempts += 1
        return Tryout(self)

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        self.asked += 1
        async for speech in self.say(text):
            yield speech

    async def say(self, text: AsyncIterator[str]) -> AsyncIterator[Speech]:
        self.running += 1
        try:
            async for word in cut(text):
                await asyncio.sleep(self.word_s)
                yield Speech(bytes(480 * len(word)), word)
        finally:
            self.running -= 1


class Tryout:
    def __init__(self, tts: Tts) -> None:
        self._tts = tts

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        faults = self._tts.faults
        if faults.refuses:
            raise EngineError("busy", "engine_busy")
        async for speech in self._tts.say(text):
            if faults.breaks:
                raise ValueError("a bug")
            yield speech

    async def keep(self) -> bool:
        self._tts.kept += not self._tts.faults.way
        return not self._tts.faults.way


class Guessing(ScriptedEngines):
    def __init__(self, stt: Drafts, llm: Llm, tts: Tts) -> None:
        super().__init__()
        self.vad = EnergyVad()
        self.turn = None
        self.stt, self.llm, self.tts = stt, llm, tts  # type: ignore[assignment]

    def for_call(self) -> Guessing:
        return self
