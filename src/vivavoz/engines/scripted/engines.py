"""The scripted engines as one set: both plans, no model, ready at once."""

from __future__ import annotations

from typing import Literal

from vivavoz.engines.energy_vad import EnergyVad
from vivavoz.engines.ports import Engines, EngineStatus
from vivavoz.engines.scripted.llm import ScriptedLlm
from vivavoz.engines.scripted.script import Script
from vivavoz.engines.scripted.speech_to_speech import ScriptedSpeechToSpeech
from vivavoz.engines.scripted.state import CallState
from vivavoz.engines.scripted.stt import ScriptedStt
from vivavoz.engines.scripted.translator import ScriptedTranslator
from vivavoz.engines.scripted.tts import ScriptedTts
from vivavoz.engines.scripted.voice import say


class ScriptedTurnDetector:
    """Finds every utterance as complete as the script says."""

    def __init__(self, script: Script, state: CallState) -> None:
        self._script = script
        self._state = state

    async def judge(self, pcm: bytes) -> float:
        return self._state.next_probability(self._script)


class ScriptedEngines(Engines):
    """Deterministic engines: a function of their input, the script, and the event loop's clock.

    ``for_call`` gives each call its own place in the script; used without it, one object serves one call.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script = Script.default() if script is None else script
        state = CallState()
        converse = self.script.plan == "converse"
        self.vad = EnergyVad()
        self.turn = ScriptedTurnDetector(self.script, state)
        self.stt = None if converse else ScriptedStt(self.script, state)
        self.llm = None if converse else ScriptedLlm(self.script, state)
        self.tts = None if converse else ScriptedTts(state)
        self.speech_to_speech = ScriptedSpeechToSpeech(self.script, state) if converse else None
        self._translator = ScriptedTranslator(self.script, state)

    @property
    def translator(self) -> ScriptedTranslator:
        return self._translator

    def for_call(self) -> ScriptedEngines:
        return ScriptedEngines(self.script)

    async def start(self) -> None:
        """Nothing to load; the voice fills its tables, so that the first word is no later than others."""
        say("six", "alloy", 1.0)

    async def stop(self) -> None:
        """Nothing to give back."""

    def status(self) -> list[EngineStatus]:
        rows = [EngineStatus(task="vad", name="energy", state="ready"), self._row("turn")]
        if self.speech_to_speech is not None:
            return [*rows, self._row("speech_to_speech")]
        return [*rows, self._row("stt"), self._row("llm"), self._row("tts")]

    @staticmethod
    def _row(task: Literal["turn", "stt", "llm", "tts", "speech_to_speech"]) -> EngineStatus:
        return EngineStatus(
            task=task,
            name="scripted",
            state="ready",
            quality="scripted",
            detail="Plays a script; there is no model behind it.",
        )
