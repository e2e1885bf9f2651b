"""Somebody who talks on while things go wrong elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench.caller import Caller
from bench.rig import descriptors
from running import Running, vivavoz
from vivavoz.measuring.peer import Peers

KEY = "a-key-for-tests"

LONGEST_GAP_S = 2.0
"""Between two packets, on a machine with far more to do than it can: who waited for an engine that is stopped
would be silent for longer. docs/benchmarks.md says how even they are where there is room."""

SCRIPT = """
[defaults]
says = "You said {heard} and so it goes on for quite a while until somebody stops it or it ends"

[[turn]]
when = "no voice"
says = "one two three four five six seven eight"
fails = { stage = "tts", after_tokens = 3, code = "voice_broke", message = "The voice broke." }

[[turn]]
when = "no thought"
says = "one two three four five six seven eight"
fails = { stage = "llm", after_tokens = 3, code = "model_broke", message = "The model broke." }

[[turn]]
hears = "this is not heard"
fails = { stage = "stt", code = "ear_broke", message = "The ear broke." }

[[turn]]
when = "long story"
says = "once upon a time there was a bear and the bear went on and on"
repeat = 30
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with scripted engines and a key."""
    folder = tmp_path_factory.mktemp("service")
    script = folder / "script.toml"
    script.write_text(SCRIPT)
    with vivavoz(folder, script=script, key=KEY) as running:
        yield running


class Talker:
    """A call in which the service tells a long story."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self._began = time.time()

    async def begin(self) -> None:
        self._began = time.time()
        self.caller.ask("Tell me a long story.")
        await self.caller.listener.audible(after=self._began)

    async def talks_on(self) -> None:
        """Nothing of what happened since it began was heard in this call."""
        now = time.time()
        await self.caller.listener.audible(after=now)
        arrivals = [at for at, _ in self.caller.listener.arrivals if at >= self._began]
        assert max(later - earlier for earlier, later in pairwise(arrivals)) < LONGEST_GAP_S
        kinds = [event["type"] for at, event in self.caller.peer.events if at >= self._began]
        assert "error" not in kinds
        assert "response.done" not in kinds


@pytest.fixture
async def calls(service: Running) -> AsyncIterator[Calls]:
    """Calls of one test. When it is over they are gone, and nothing of them is left in the service."""
    before = descriptors(service.process.pid)
    calls = Calls(service)
    yield calls
    await calls.end()
    await asyncio.to_thread(service.wait_for_calls, 0)
    # A connection of aiohttp's or of the loop's own may still be on its way out.
    async with asyncio.timeout(60):
        while descriptors(service.process.pid) > before + 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


class Calls:
    def __init__(self, service: Running) -> None:
        self._service = service
        self._shared = Peers()
        self._open: list[Caller] = []

    async def connect(self) -> Caller:
        caller = Caller(self._shared, self._service.url, self._service.key)
        await caller.connect()
        self._open.append(caller)
        return caller

    async def talker(self) -> Talker:
        talker = Talker(await self.connect())
        await talker.begin()
        return talker

    async def end(self) -> None:
        for caller in self._open:
            await caller.peer.close()


@pytest.fixture
def log_of(service: Running) -> Path:
    return service.log
