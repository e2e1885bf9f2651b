"""The language model is shown a session's instructions before anybody speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from tests.call.sounds import voice
from tests.call.test_call import play
from tests.call.transports import FakeTransport
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.ports import EngineError, ReplyOptions, SttOptions, Transcript
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.wire.items import Item
from vivavoz.wire.options import DEFAULT_INSTRUCTIONS


class Reader:
    """Notes what it was given to read; a given instruction takes for ever, another fails."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.given_up: list[str] = []
        self.items: list[list[Item]] = []

    async def prepare(self, items: Sequence[Item], options: ReplyOptions) -> None:
        self.read.append(options.instructions)
        self.items.append(list(items))
        if options.instructions == "fail":
            raise EngineError("no", "engine_busy")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.given_up.append(options.instructions)
            raise


class Engines(ScriptedEngines):
    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def for_call(self):  # type: ignore[no-untyped-def]
        view = super().for_call()
        view.llm = self.reader
        return view


class Drafting:
    """A recogniser that takes the caller to have finished once, and then hears more."""

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        told = 0
        async for _ in audio:
            told += 1
            if told in (4, 8):
                yield Transcript("What is" if told == 4 else "What is the time", draft=True)
                await asyncio.sleep(0.1)
        yield Transcript("What is the time?", final=True)


def test_what_the_caller_has_said_is_read_ahead() -> None:
    reader = Reader()

    class Listening(Engines):
        def for_call(self):  # type: ignore[no-untyped-def]
            view = super().for_call()
            view.stt = Drafting()
            return view

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport("webrtc").join(calls.open(None, "gpt-realtime"))
        await asyncio.sleep(1)
        speech = voice(800)
        for at in range(0, len(speech), 960):
            client.speak(speech[at : at + 960])
        await client.until("input_audio_buffer.speech_started")
        await asyncio.sleep(1)
        read = [msgspec.to_builtins(item) for items in reader.items for item in items]
        said = [item["content"][0]["transcript"] for item in read]
        assert said == ["What is", "What is the time"]
        assert reader.given_up == [DEFAULT_INSTRUCTIONS] * 2

    play(scene, engines=Listening(reader))


def test_instructions_are_read_ahead_and_read_again_only_when_they_change() -> None:
    reader = Reader()

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        for instructions in ("one", "one", "two", "fail"):
            await asyncio.sleep(1)
            client.say("session.update", session={"type": "realtime", "instructions": instructions})
        await client.until("session.updated", 4)
        await asyncio.sleep(1)
        assert reader.read == [DEFAULT_INSTRUCTIONS, "one", "two", "fail"]
        assert reader.given_up == [DEFAULT_INSTRUCTIONS, "one", "two"]
        assert "error" not in client.types()

    play(scene, engines=Engines(reader))
