"""The language model is shown a session's instructions before anybody speaks."""

from __future__ import annotations

import asyncio

from tests.call.test_call import play
from tests.call.transports import FakeTransport
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.ports import EngineError, ReplyOptions
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.wire.options import DEFAULT_INSTRUCTIONS


class Reader:
    """Notes what it was given to read; a given instruction takes for ever, another fails."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.given_up: list[str] = []

    async def prepare(self, options: ReplyOptions) -> None:
        self.read.append(options.instructions)
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
