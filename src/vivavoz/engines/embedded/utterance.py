"""An utterance on its way to a recogniser: silence cut off, long speech cut up, pauses used to work ahead.

In a pause the caller may have finished: the text is made ready, and told as a draft, so that the language
model can read ahead too. Where the recogniser has time to spare, there are drafts of unfinished speech too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

import numpy as np

from vivavoz.engines.embedded import segments
from vivavoz.engines.embedded.downsample import Downsampler, Samples
from vivavoz.engines.embedded.silero import FRAME, SileroState
from vivavoz.engines.ports import Transcript

_PAUSE_FRAMES = 4
"""So many frames without speech (130 ms), and the caller may have finished: the text is made ready."""
_SHORT_PAUSE_FRAMES = 1
"""The same where nobody else is listened to: more often in vain, and sooner."""
_DRAFT_FRAMES = 16
"""A draft of unfinished speech is worth making every so often (0.5 s)."""
_LIVE_S = 0.01
_SCORED_AT_ONCE = 2
"""Frames; where somebody is listened to alone, each at once."""


class Recogniser(Protocol):
    """A model that hears one segment (16 kHz) at a time."""

    @property
    def idle(self) -> bool:
        """Whether a segment would be recognised at once."""
        ...

    @property
    def alone(self) -> bool:
        """Whether nobody else is listened to."""
        ...

    @property
    def spare(self) -> bool:
        """Whether it has time for what is likely to be in vain, too: it is quick."""
        ...

    async def score(self, state: SileroState, samples: Samples) -> list[float]:
        """Speech probability of each whole frame of ``samples``."""
        ...

    async def recognise(self, samples: Samples, speech: segments.Speech) -> str:
        """What is said in one segment; empty where nothing is."""
        ...


async def transcribe(
    recogniser: Recogniser, audio: AsyncIterator[bytes], max_frames: int = segments.MAX_FRAMES
) -> AsyncGenerator[Transcript, None]:
    """Port ``Stt``'s transcripts of ``audio`` (24 kHz), a part for each segment and the whole at the end."""
    utterance = Utterance(recogniser, max_frames)
    spoken: list[str] = []
    try:
        async for pcm in audio:
            text = await utterance.feed(pcm)
            if text:
                yield Transcript(text if not spoken else f" {text}")
                spoken.append(text)
            if draft := utterance.draft():
                yield Transcript(" ".join([*spoken, draft]), draft=True)
        text = await utterance.finish()
        if text:
            yield Transcript(text if not spoken else f" {text}")
            spoken.append(text)
        yield Transcript(" ".join(spoken), final=True)
    finally:
        await utterance.close()


class Utterance:
    """One turn's sound, as far as it is not transcribed yet."""

    def __init__(self, recogniser: Recogniser, max_frames: int = segments.MAX_FRAMES) -> None:
        """``max_frames``: a segment that grows longer is cut at its quietest moment."""
        self._recogniser = recogniser
        self._max_frames = max_frames
        self._downsampler = Downsampler()
        self._state = SileroState()
        self._samples: Samples = np.zeros(0, np.float32)
        self._probabilities: list[float] = []
        self._levels: list[float] = []
        self._guess: asyncio.Task[str] | None = None
        self._guessed: tuple[int, int] | None = None
        """What the guess was made of: the first frame, and how many had something to say."""
        self._drafted = False
        self._considered = 0
        """Frames that the latest guess was made of."""

    async def feed(self, pcm: bytes) -> str:
        """Take sound in; the text of a segment, where one became too long and was cut off."""
        self._samples = np.concatenate((self._samples, self._downsampler.feed(pcm)))
        await self._score(at_least=1 if self._recogniser.alone else _SCORED_AT_ONCE)
        text = ""
        while len(self._probabilities) > self._max_frames:
            text = f"{text} {await self._cut()}".strip()
        self._forget_silence()
        self._speculate()
        return text

    def draft(self) -> str:
        """What is not transcribed yet would say this, were it all; empty unless that is news."""
        guess = self._guess
        if self._drafted or guess is None or not guess.done() or guess.cancelled() or guess.exception():
            return ""
        self._drafted = True
        return guess.result()

    async def finish(self) -> str:
        """The text of what is left."""
        rest = np.concatenate((self._samples, self._downsampler.flush()))
        self._samples = np.pad(rest, (0, -len(rest) % FRAME))
        await self._score(at_least=1)
        speech = segments.find_speech(self._probabilities)
        if speech is None:
            return ""
        if self._guess is not None and self._guessed == self._said(speech):
            return await self._guess
        self._give_up()
        return await self._recogniser.recognise(self._sound(speech), speech)

    async def close(self) -> None:
        """Nothing of it goes on."""
        guess = self._guess
        self._give_up()
        if guess is not None:
            await asyncio.gather(guess, return_exceptions=True)

    async def _score(self, at_least: int) -> None:
        scored = len(self._probabilities)
        frames = len(self._samples) // FRAME
        if frames - scored >= at_least:
            fresh = self._samples[scored * FRAME : frames * FRAME]
            self._probabilities += await self._recogniser.score(self._state, fresh)
            self._levels += np.sqrt(np.mean(np.square(fresh.reshape(-1, FRAME)), axis=1)).tolist()

    async def _cut(self) -> str:
        """Transcribe up to the quietest moment and keep what comes behind it."""
        limit = self._probabilities[: self._max_frames]
        cut = segments.find_cut(limit)
        speech = segments.find_speech(self._probabilities[:cut])
        if speech is None:
            self._drop(cut)
            return ""
        sound = self._sound(speech)
        self._drop(cut)
        return await self._recogniser.recognise(sound, speech)

    def _forget_silence(self) -> None:
        """Before anything is said only the last moment is kept, however long it takes."""
        if not any(probability >= segments.SPEECH for probability in self._probabilities):
            self._drop(max(0, len(self._probabilities) - segments.LEAD_FRAMES))

    def _drop(self, frames: int) -> None:
        if frames:
            self._samples = self._samples[frames * FRAME :].copy()
            del self._probabilities[:frames]
            del self._levels[:frames]
            self._considered = max(0, self._considered - frames)
            self._give_up()

    def _speculate(self) -> None:
        pause = _SHORT_PAUSE_FRAMES if self._recogniser.alone else _PAUSE_FRAMES
        tail = self._audible()[-pause:]
        if len(tail) < pause:
            return
        if any(tail):
            if not self._recogniser.spare:
                self._give_up()
                return
            if len(self._probabilities) - self._considered < _DRAFT_FRAMES:
                return
        speech = segments.find_speech(self._probabilities)
        if speech is None or not self._recogniser.idle:
            return
        said = self._said(speech)
        if self._guessed == said:
            return
        self._give_up()
        self._considered = len(self._probabilities)
        self._guess = asyncio.create_task(self._think(self._sound(speech), speech))
        # A guess that fails or is not wanted says nothing; one that is wanted is awaited.
        self._guess.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._guessed = said
        self._drafted = False

    async def _think(self, sound: Samples, speech: segments.Speech) -> str:
        # Sound that was there all along (push to talk) comes in one go: its pauses are no ends.
        await asyncio.sleep(_LIVE_S)
        return await self._recogniser.recognise(sound, speech)

    def _give_up(self) -> None:
        """More is said: a guess that has not begun need not."""
        if self._guess is not None:
            self._guess.cancel()
            self._guess = self._guessed = None

    def _audible(self) -> list[bool]:
        return segments.audible(self._probabilities, self._levels)

    def _said(self, speech: segments.Speech) -> tuple[int, int]:
        return speech.start, sum(self._audible())

    def _sound(self, speech: segments.Speech) -> Samples:
        return self._samples[speech.start * FRAME : speech.end * FRAME].copy()
