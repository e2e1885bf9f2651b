"""Recognition that hears what the script says the caller said - once there was any sound at all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from vivavoz.engines.energy_vad import SpeechMeter
from vivavoz.engines.ports import EngineError, SttOptions, Transcript
from vivavoz.engines.scripted.brain import words
from vivavoz.engines.scripted.clock import wait_ms
from vivavoz.engines.scripted.script import Script, Turn
from vivavoz.engines.scripted.state import CallState
from vivavoz.wire.transcription import LogProb

LEAST_SPEECH_MS = 100
"""Less sound than this is no word."""


def heard_words(script: Script, turn: Turn | None, seconds: float) -> str:
    """What the caller said in ``turn``, or by default a sentence that tells how long it was."""
    if turn is not None and turn.hears is not None:
        return turn.hears
    whole = max(1, round(seconds))
    duration = f"{whole} second{'s' if whole > 1 else ''}"
    return script.defaults.hears.replace("{duration}", duration)


class ScriptedStt:
    """The n-th utterance with sound in it, that was spoken to its end, is the script's n-th ``hears``."""

    gives_logprobs = True

    def __init__(self, script: Script, state: CallState) -> None:
        self._script = script
        self._state = state

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        meter = SpeechMeter()
        async for pcm in audio:
            meter.feed(pcm)
        if meter.voiced_ms < LEAST_SPEECH_MS:
            yield Transcript("", final=True)
            return
        turn = self._state.next_spoken_turn(self._script)
        text = heard_words(self._script, turn, meter.span_ms / 1000)
        async with aclosing(recognise(self._script, turn, text, options.logprobs)) as transcripts:
            async for transcript in transcripts:
                yield transcript


async def recognise(
    script: Script, turn: Turn | None, text: str, logprobs: bool = False
) -> AsyncGenerator[Transcript, None]:
    """Deliver ``text`` in two pieces and whole, as late and as broken as the script wants it. ``logprobs``:
    with how sure the script is of each word."""
    delays = script.defaults.delays if turn is None else turn.delays.over(script.defaults.delays)
    failure = None if turn is None else turn.failure("stt")
    await wait_ms(delays.stt_ms)
    pieces = words(text)
    kept = len(pieces) if failure is None else min(failure.after_tokens, len(pieces))
    half = min(kept, (len(pieces) + 1) // 2)
    sure = certainty(turn, pieces) if logprobs else None
    for part in (slice(0, half), slice(half, kept)):
        if pieces[part]:
            yield Transcript("".join(pieces[part]), logprobs=sure[part] if sure is not None else None)
            await wait_ms(0)
    if failure is not None:
        raise EngineError(failure.message, failure.code)
    segments = [] if turn is None else turn.segments
    yield Transcript(text, final=True, logprobs=sure, segments=segments)


def certainty(turn: Turn | None, pieces: list[str]) -> list[LogProb]:
    """Of each word; certain where the script does not say."""
    said = [] if turn is None else turn.logprobs
    return [LogProb.of(piece, said[n] if n < len(said) else 0.0) for n, piece in enumerate(pieces)]
