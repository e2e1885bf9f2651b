"""The other plan: one model that hears and speaks by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from vivavoz.engines.energy_vad import SpeechMeter
from vivavoz.engines.ports import (
    Counted,
    ReplyDelta,
    ReplyOptions,
    Speech,
    SpeechOptions,
    TextDelta,
    Transcript,
)
from vivavoz.engines.scripted.brain import answer, count
from vivavoz.engines.scripted.clock import wait_ms
from vivavoz.engines.scripted.llm import stream, window_of
from vivavoz.engines.scripted.plot import read
from vivavoz.engines.scripted.script import Script
from vivavoz.engines.scripted.state import CallState
from vivavoz.engines.scripted.stt import LEAST_SPEECH_MS, heard_words, recognise
from vivavoz.engines.scripted.tts import Speaker, WordCutter
from vivavoz.wire.items import Item

_FED_AT_ONCE = 48_000
"""Bytes of audio (1 s) listened to between two looks at the rest of the world."""


class ScriptedSpeechToSpeech:
    """Hears, answers and speaks in one stream; the last word is spoken before ``Usage``."""

    def __init__(self, script: Script, state: CallState) -> None:
        self._script = script
        self._state = state
        self.window = window_of(script)

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        """Port ``Counts``."""
        return count(items, options, hears=True)

    async def converse(
        self, items: Sequence[Item], audio: bytes, options: ReplyOptions, speech: SpeechOptions
    ) -> AsyncIterator[Transcript | Speech | ReplyDelta]:
        spoken: str | None = None
        if audio:
            meter = SpeechMeter()
            for start in range(0, len(audio), _FED_AT_ONCE):
                meter.feed(audio[start : start + _FED_AT_ONCE])
                await wait_ms(0)
            spoken = ""
            if meter.voiced_ms >= LEAST_SPEECH_MS:
                turn = self._state.next_spoken_turn(self._script)
                spoken = heard_words(self._script, turn, meter.span_ms / 1000)
                async with aclosing(recognise(self._script, turn, spoken)) as transcripts:
                    async for transcript in transcripts:
                        yield transcript
            else:
                yield Transcript("", final=True)
        scene, counted = read(items, spoken), count(items, options, hears=True)
        given = answer(self._script, scene, options)
        cutter, speaker = WordCutter(), Speaker(speech)
        async with aclosing(stream(given, sum(counted.items) + counted.instructions, options)) as deltas:
            async for delta in deltas:
                for word in cutter.feed(delta.text) if isinstance(delta, TextDelta) else cutter.finish():
                    yield await speaker.say(word, given)
                if not isinstance(delta, TextDelta):
                    yield delta
