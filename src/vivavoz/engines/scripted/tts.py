"""Speaks whatever text arrives, word by word, each chunk with the words it says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from vivavoz.engines.ports import EngineError, Speech, SpeechOptions
from vivavoz.engines.scripted.brain import Answer
from vivavoz.engines.scripted.clock import wait_ms
from vivavoz.engines.scripted.state import CallState
from vivavoz.engines.scripted.voice import LONGEST_WORD, say


class WordCutter:
    """Cuts text that arrives in pieces into words, each with the space before it. Holds one word at most."""

    def __init__(self) -> None:
        self._word = ""

    def feed(self, text: str) -> list[str]:
        """The words that are complete: something came after them."""
        done: list[str] = []
        for character in text:
            spoken = self._word.strip()
            if (spoken and character.isspace()) or len(self._word) >= LONGEST_WORD:
                done.append(self._word)
                self._word = ""
            self._word += character
        return done

    def finish(self) -> list[str]:
        word, self._word = self._word, ""
        return [word] if word else []


async def cut(text: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """The words of ``text``; they join to exactly it."""
    cutter = WordCutter()
    async for piece in text:
        for word in cutter.feed(piece):
            yield word
    for word in cutter.finish():
        yield word


class Speaker:
    """Says one word after the other, as late and as broken as the answer's script wants it."""

    def __init__(self, options: SpeechOptions) -> None:
        self._options = options
        self._spoken = 0

    async def say(self, word: str, given: Answer) -> Speech:
        failure = given.failure("tts")
        await wait_ms(given.delays.tts_word_ms if self._spoken else given.delays.tts_first_ms)
        if failure is not None and self._spoken >= failure.after_tokens:
            raise EngineError(failure.message, failure.code)
        self._spoken += 1
        return Speech(pcm=say(word, self._options.voice, self._options.speed), text=word)


class ScriptedTts:
    """Faster than real time, bounded by one word; see :mod:`vivavoz.engines.scripted.voice`."""

    def __init__(self, state: CallState | None = None) -> None:
        self._state = CallState() if state is None else state

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        speaker = Speaker(options)
        given: Answer | None = None
        async with aclosing(cut(text)) as words:
            async for word in words:
                # Looked at when the first word is there: by then the model has begun its answer.
                given = given or self._state.answer
                yield await speaker.say(word, given)
