from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from vivavoz.engines.ports import ReplyDelta, ReplyOptions, TextDelta
from vivavoz.engines.process.adapters import ProcessLlm
from vivavoz.engines.process.child import Spec
from vivavoz.engines.process.client import EngineClient, Timing
from vivavoz.engines.process.supervisor import Supervisor

# Generous where a busy machine may be slow, short where a test waits for a stall to be noticed.
TIMING = Timing(ping_s=0.1, stall_s=0.8, ready_s=30.0, reconnect_s=0.02)

Start = Callable[..., Awaitable[tuple[Supervisor, dict[str, EngineClient]]]]


def toy_spec(name: str = "toy", max_jobs: int = 16, **options: Any) -> Spec:
    return Spec(name=name, factory="toy:Toy", options=options, max_jobs=max_jobs, nice=1)


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a supervisor with the given specs, and a worker's client for each."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with AsyncExitStack() as stack:

        async def go(*specs: Spec) -> tuple[Supervisor, dict[str, EngineClient]]:
            supervisor = Supervisor(specs, TIMING)
            stack.push_async_callback(supervisor.stop)
            await supervisor.start()
            clients = {}
            for spec in specs:
                client = EngineClient(supervisor.directory / f"{spec.name}.sock", spec.name, TIMING)
                stack.push_async_callback(client.stop)
                await client.start()
                clients[spec.name] = client
            await supervisor.settled()
            return supervisor, clients

        yield go


async def ask(client: EngineClient, instructions: str) -> list[ReplyDelta]:
    options = ReplyOptions(model="toy", instructions=instructions)
    return [delta async for delta in ProcessLlm(client).reply([], options)]


async def told(client: EngineClient, instructions: str) -> str:
    return "".join(delta.text for delta in await ask(client, instructions) if isinstance(delta, TextDelta))
