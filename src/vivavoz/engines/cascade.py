"""Translation by three engines one after the other: a recogniser, a language model, a voice.

The recogniser hears a phrase while it is spoken; the model writes its translation; the voice says it from the
first clause on. Phrases come one by one, so the model is shown the last ones with their translations: a
pronoun or half a sentence means something only after what was said before.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from vivavoz.engines.ports import (
    Llm,
    ReplyOptions,
    Speech,
    SpeechOptions,
    Stt,
    SttOptions,
    TextDelta,
    Transcript,
    TranslationOptions,
    Tts,
)
from vivavoz.wire.items import InputText, Item, Message, OutputText
from vivavoz.wire.languages import name_of

MOST_TOKENS = 320
"""Of one phrase, which is ten seconds of speech at most. A translation seldom has more tokens than what was
said has characters: a model that goes on and on is cut off there."""
LEAST_TOKENS = 32

_INSTRUCTIONS = (
    "You are an interpreter. Translate what the user says into {language}. Reply with the {language} "
    "translation only: no answers, no explanations, no notes, no quotes. Repeat what is {language} already."
)
_REQUEST = "Translate into {language}, and write nothing else:\n{heard}"
"""Around each phrase: the smallest models answer a bare question instead of translating it."""


class CascadeTranslator:
    """Port ``Translator``, made of the engines of one set."""

    continuous = False

    def __init__(self, stt: Stt, llm: Llm, tts: Tts) -> None:
        self._stt = stt
        self._llm = llm
        self._tts = tts

    @classmethod
    def of(cls, stt: Stt | None, llm: Llm | None, tts: Tts | None) -> CascadeTranslator | None:
        """None where one of the three is missing."""
        return cls(stt, llm, tts) if stt is not None and llm is not None and tts is not None else None

    @property
    def languages(self) -> Sequence[str] | None:
        """The voice's: a model writes more languages than a voice can read."""
        spoken: Sequence[str] | None = getattr(self._tts, "languages", None)
        return spoken

    async def translate(
        self, audio: AsyncIterator[bytes], options: TranslationOptions
    ) -> AsyncIterator[Transcript | Speech]:
        heard = ""
        hearing: Any = self._stt.transcribe(audio, SttOptions(model=options.transcription))
        async with aclosing(hearing) as transcripts:
            async for transcript in transcripts:
                if transcript.draft:
                    continue
                yield transcript
                heard = transcript.text if transcript.final else heard + transcript.text
        if not heard.strip():
            return
        writing = _Writing()
        async with aclosing(writing.words(self._llm, heard.strip(), options)) as words:
            speaking: Any = self._tts.synthesize(words, SpeechOptions())
            async with aclosing(speaking) as chunks:
                async for speech in chunks:
                    yield speech
        # A voice need not pass on what befell the text it was reading.
        if writing.failure is not None:
            raise writing.failure


class _Writing:
    """The translation of one phrase, in pieces."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def words(self, llm: Llm, heard: str, options: TranslationOptions) -> AsyncGenerator[str, None]:
        """Ends early, with ``failure`` set, where the model fails."""
        replying: Any = llm.reply(conversation(heard, options), reply_options(heard, options))
        try:
            async with aclosing(replying) as deltas:
                async for delta in deltas:
                    if isinstance(delta, TextDelta) and delta.text:
                        yield delta.text
        except Exception as error:
            self.failure = error


def conversation(heard: str, options: TranslationOptions) -> list[Item]:
    """The phrases before, each with its translation, and the one to translate."""
    items: list[Item] = []
    for source, target in options.context:
        items.append(_asked(source, options))
        items.append(Message(role="assistant", content=[OutputText(text=target)]))
    return [*items, _asked(heard, options)]


def _asked(heard: str, options: TranslationOptions) -> Message:
    text = _REQUEST.format(language=name_of(options.language), heard=heard)
    return Message(role="user", content=[InputText(text=text)])


def reply_options(heard: str, options: TranslationOptions) -> ReplyOptions:
    return ReplyOptions(
        model=options.model,
        instructions=_INSTRUCTIONS.format(language=name_of(options.language)),
        tool_choice="none",
        max_output_tokens=min(LEAST_TOKENS + len(heard), MOST_TOKENS),
    )
