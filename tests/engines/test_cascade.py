"""Translation by three engines in a row, and what each of them is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from vivavoz.engines.build import build_engines
from vivavoz.engines.cascade import CascadeTranslator
from vivavoz.engines.embedded.plan import EmbeddedOptions, languages_of
from vivavoz.engines.ports import (
    EngineError,
    ReplyDelta,
    ReplyOptions,
    Speech,
    SpeechOptions,
    SttOptions,
    TextDelta,
    Transcript,
    TranslationOptions,
    Usage,
)
from vivavoz.engines.scripted.translator import ScriptedTranslator
from vivavoz.engines.spec import EngineSet
from vivavoz.wire.items import Item, Message

OPTIONS = TranslationOptions(
    model="m", language="pt-BR", transcription="w", context=[("One.", "Um."), ("Two.", "Dois.")]
)


class Stt:
    def __init__(self, *heard: Transcript) -> None:
        self.heard = heard
        self.asked: list[SttOptions] = []

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        self.asked.append(options)
        async for _ in audio:
            pass
        for transcript in self.heard:
            yield transcript


class Llm:
    def __init__(self, *said: str, fails: bool = False) -> None:
        self.said = said
        self.fails = fails
        self.asked: list[tuple[Sequence[Item], ReplyOptions]] = []
        self.closed = 0

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        self.asked.append((items, options))
        try:
            for piece in self.said:
                yield TextDelta(piece)
            yield Usage(1, 1)
            if self.fails:
                raise EngineError("It fell silent.", "model_lost")
        finally:
            self.closed += 1


class Tts:
    """Swallows what befalls the text that it reads, as a real one may."""

    languages = ("pt",)

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        try:
            async for piece in text:
                yield Speech(pcm=bytes(2), text=piece)
        except EngineError:
            return


async def phrase() -> AsyncIterator[bytes]:
    yield bytes(960)


async def run(translator: CascadeTranslator) -> list[Transcript | Speech]:
    return [result async for result in translator.translate(phrase(), OPTIONS)]


async def test_what_is_heard_is_written_in_the_other_language_and_said() -> None:
    stt = Stt(Transcript("Tree", draft=True), Transcript("Thr"), Transcript(" Three. ", final=True))
    llm = Llm("Tr", "ês.")
    results = await run(CascadeTranslator(stt, llm, Tts()))
    assert results == [*stt.heard[1:], Speech(bytes(2), "Tr"), Speech(bytes(2), "ês.")]
    assert stt.asked == [SttOptions(model="w")]
    ((items, options),) = llm.asked
    said = [part.text for item in items if isinstance(item, Message) for part in item.content]  # type: ignore[union-attr]
    assert [text.splitlines()[-1] for text in said] == ["One.", "Um.", "Two.", "Dois.", "Three."]
    assert "Portuguese (pt-BR)" in said[-1]
    assert [item.role for item in items if isinstance(item, Message)] == [*["user", "assistant"] * 2, "user"]
    assert "Portuguese (pt-BR)" in options.instructions
    assert options.model == "m"
    assert options.tool_choice == "none"
    assert options.max_output_tokens == 32 + len("Three.")


@pytest.mark.parametrize("heard", [[], [Transcript("", final=True)], [Transcript(" \n", final=True)]])
async def test_noise_is_not_translated(heard: list[Transcript]) -> None:
    llm = Llm("Something")
    assert await run(CascadeTranslator(Stt(*heard), llm, Tts())) == heard
    assert llm.asked == []


async def test_a_model_that_fails_fails_the_phrase_after_what_it_said() -> None:
    translator = CascadeTranslator(Stt(Transcript("One.", final=True)), Llm("Um", fails=True), Tts())
    results: list[Any] = []

    async def listen() -> None:
        async for result in translator.translate(phrase(), OPTIONS):
            results.append(result)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(EngineError) as failure:
        await listen()
    assert failure.value.code == "model_lost"
    assert results[-1] == Speech(bytes(2), "Um")


async def test_whoever_stops_listening_stops_the_model() -> None:
    llm = Llm("a", "b", "c")
    translation: Any = CascadeTranslator(Stt(Transcript("One.", final=True)), llm, Tts()).translate(
        phrase(), OPTIONS
    )
    async with aclosing(translation) as results:
        async for result in results:
            if isinstance(result, Speech):
                break
    assert llm.closed == 1


def test_it_says_what_its_voice_can_say() -> None:
    assert CascadeTranslator(Stt(), Llm(), Tts()).languages == ("pt",)
    assert CascadeTranslator.of(Stt(), None, Tts()) is None
    assert languages_of(EmbeddedOptions()) == ("en",)
    assert languages_of(EmbeddedOptions(tts_model="kokoro")) == ("pt", "en")
    assert languages_of(EmbeddedOptions(tts_model="kokoro", tts_language="pt-BR")) == ("pt",)


async def test_a_set_of_scripted_stages_follows_its_script() -> None:
    mixed = build_engines(EngineSet(base="scripted", turn="none"))
    await mixed.start()
    assert isinstance(mixed.for_call().translator, ScriptedTranslator)
    deaf = build_engines(EngineSet(base="scripted", llm="none"))
    await deaf.start()
    assert deaf.for_call().translator is None
