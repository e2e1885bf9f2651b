"""Recognition that hears what the script says the caller said - once there was any sound at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vivavoz.engines.energy_vad import FRAME, EnergyVadStream
from vivavoz.engines.ports import SAMPLE_RATE, EngineError, SttOptions, Transcript
from vivavoz.engines.scripted.brain import words
from vivavoz.engines.scripted.clock import wait_ms
from vivavoz.engines.scripted.script import Script, Turn
from vivavoz.engines.scripted.state import CallState

LEAST_SPEECH = SAMPLE_RATE // 10
"""Less sound than this (100 ms, in samples) is no word."""


class Listener:
    """Measures how much of an utterance is sound. Keeps counts, never the audio."""

    def __init__(self) -> None:
        self._vad = EnergyVadStream()
        self._voiced = 0
        self._first: int | None = None
        self._last = 0

    def feed(self, pcm: bytes) -> None:
        for score in self._vad.score_now(pcm):
            if score.probability >= 0.5:
                self._voiced += FRAME
                self._last = score.end_sample
                if self._first is None:
                    self._first = score.end_sample - FRAME

    @property
    def heard_speech(self) -> bool:
        return self._voiced >= LEAST_SPEECH

    @property
    def seconds(self) -> float:
        """From the first sound to the last."""
        return 0.0 if self._first is None else (self._last - self._first) / SAMPLE_RATE


def heard_words(script: Script, turn: Turn | None, seconds: float) -> str:
    """What the caller said in ``turn``, or by default a sentence that tells how long it was."""
    if turn is not None and turn.hears is not None:
        return turn.hears
    whole = max(1, round(seconds))
    duration = f"{whole} second{'s' if whole > 1 else ''}"
    return script.defaults.hears.replace("{duration}", duration)


class ScriptedStt:
    """The n-th utterance with sound in it, that was spoken to its end, is the script's n-th ``hears``."""

    def __init__(self, script: Script, state: CallState) -> None:
        self._script = script
        self._state = state

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        listener = Listener()
        async for pcm in audio:
            listener.feed(pcm)
        if not listener.heard_speech:
            yield Transcript("", final=True)
            return
        turn = self._state.next_spoken_turn(self._script)
        text = heard_words(self._script, turn, listener.seconds)
        async for transcript in recognise(self._script, turn, text):
            yield transcript


async def recognise(script: Script, turn: Turn | None, text: str) -> AsyncIterator[Transcript]:
    """Deliver ``text`` in two pieces and whole, as late and as broken as the script wants it."""
    delays = script.defaults.delays if turn is None else turn.delays.over(script.defaults.delays)
    failure = None if turn is None else turn.failure("stt")
    await wait_ms(delays.stt_ms)
    pieces = words(text)
    kept = len(pieces) if failure is None else min(failure.after_tokens, len(pieces))
    half = min(kept, (len(pieces) + 1) // 2)
    for part in (pieces[:half], pieces[half:kept]):
        if part:
            yield Transcript("".join(part))
            await wait_ms(0)
    if failure is not None:
        raise EngineError(failure.message, failure.code)
    yield Transcript(text, final=True)
