"""The same without models: a language model's process is killed and stopped under two WebRTC calls."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench.caller import Caller
from bench.engine_processes import send
from faults.conftest import LONGEST_GAP_S
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.process.adapters import ProcessLlm
from vivavoz.engines.process.child import Spec
from vivavoz.engines.process.client import EngineClient, Timing
from vivavoz.engines.process.supervisor import Supervisor
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.measuring.peer import Peers
from vivavoz.media.engine import LeanEngine
from vivavoz.transports.webrtc import WebRtcTransport

TIMING = Timing(ping_s=0.1, stall_s=0.8, ready_s=30.0, reconnect_s=0.02)


class Engines(ScriptedEngines):
    """Scripted, but for a language model in a process."""

    def __init__(self, client: EngineClient) -> None:
        super().__init__()
        self._client = client
        self.llm = ProcessLlm(client)  # type: ignore[assignment]

    def for_call(self) -> Engines:
        return Engines(self._client)


class Worker:
    """Calls, media, and the engine's process."""

    def __init__(self, supervisor: Supervisor, client: EngineClient) -> None:
        self.supervisor = supervisor
        self.media = LeanEngine()
        self.calls = CallRegistry(lambda model: Engines(client))
        self._shared = Peers()

    async def connect(self) -> Caller:
        caller = Caller(self._shared, "")

        async def answer(offer: str) -> str:
            return WebRtcTransport.accept(self.media, offer, self.calls.open(None, None), filter="off")

        await caller.peer.connect(answer)
        return caller


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Worker]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    supervisor = Supervisor([Spec(name="llm", factory="storyteller:Storyteller", nice=0)], TIMING)
    await supervisor.start()
    client = EngineClient(supervisor.directory / "llm.sock", "llm", TIMING)
    await client.start()
    await client.settled(30)
    worker = Worker(supervisor, client)
    await worker.media.start()
    try:
        async with worker.calls:
            yield worker
    finally:
        await worker.media.stop()
        await client.stop()
        await supervisor.stop()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, "engine_unavailable"), (signal.SIGSTOP, "engine_stalled")]
)
async def test_both_calls_sound_on_and_the_next_turn_works(
    worker: Worker, number: signal.Signals, code: str
) -> None:
    callers = [await worker.connect() for _ in range(2)]
    for caller in callers:
        await caller.update(instructions="long")
        asked = time.time()
        caller.ask("Tell me a story.")
        await caller.listener.audible(after=asked)
    pid = worker.supervisor.processes["llm"].pid
    assert pid is not None

    struck = time.time()
    send(pid, number)

    for caller in callers:
        _, done = await caller.peer.wait_for("response.done", after=struck)
        assert done["response"]["status"] == "failed"
        assert done["response"]["status_details"]["error"]["code"] == code
        await caller.update(instructions="short")
    for caller in callers:
        assert await caller.next_turn_works()
        arrivals = [at for at, _ in caller.listener.arrivals if at >= struck]
        assert max(later - earlier for earlier, later in pairwise(arrivals)) < LONGEST_GAP_S
        await caller.peer.close()
