"""Translation as the script has it: what a turn hears is said as what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from vivavoz.engines.energy_vad import SpeechMeter
from vivavoz.engines.ports import Speech, SpeechOptions, Transcript, TranslationOptions
from vivavoz.engines.scripted.brain import Answer, words
from vivavoz.engines.scripted.clock import wait_ms
from vivavoz.engines.scripted.script import Script, Step
from vivavoz.engines.scripted.state import CallState
from vivavoz.engines.scripted.stt import LEAST_SPEECH_MS, heard_words, recognise
from vivavoz.engines.scripted.tts import Speaker


class ScriptedTranslator:
    """The n-th phrase with sound in it is the script's n-th turn that ``hears``; its ``says`` is the
    translation, in which ``{language}`` and ``{heard}`` are filled in. Says any language, badly."""

    continuous = False
    languages: Sequence[str] | None = None

    def __init__(self, script: Script, state: CallState) -> None:
        self._script = script
        self._state = state

    async def translate(
        self, audio: AsyncIterator[bytes], options: TranslationOptions
    ) -> AsyncIterator[Transcript | Speech]:
        meter = SpeechMeter()
        async for pcm in audio:
            meter.feed(pcm)
        if meter.voiced_ms < LEAST_SPEECH_MS:
            yield Transcript("", final=True)
            return
        turn = self._state.next_spoken_turn(self._script)
        heard = heard_words(self._script, turn, meter.span_ms / 1000)
        async with aclosing(recognise(self._script, turn, heard)) as transcripts:
            async for transcript in transcripts:
                yield transcript
        said = turn.says if turn is not None and turn.says is not None else self._script.defaults.translates
        said = said.replace("{language}", options.language).replace("{heard}", heard)
        delays = (turn or Step()).delays.over(self._script.defaults.delays)
        given = Answer(text=said, step=turn or Step(), delays=delays)
        speaker = Speaker(SpeechOptions())
        await wait_ms(delays.first_token_ms)
        for word in words(said):
            yield await speaker.say(word, given)
