"""A language model with a tiny context: what no longer fits is left out or refused, and nothing breaks."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.call.transports import FakeTransport
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.embedded.engines import EmbeddedEngines, EngineProcesses
from vivavoz.engines.embedded.plan import EmbeddedOptions, plan
from vivavoz.engines.ports import EngineError
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.models import Store

pytestmark = [pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]

CONTEXT = 256
OPTIONS = EmbeddedOptions(stages=("llm",), llm_context=CONTEXT, llm_max_tokens=8, llm_parallel=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes() -> AsyncIterator[EngineProcesses]:
    try:
        planned = plan(OPTIONS, Store())
    except EngineError as error:
        pytest.skip(error.message)
    if not planned["llm"].present:
        pytest.skip(planned["llm"].detail or "no language model")
    processes = EngineProcesses(OPTIONS)
    await processes.start()
    await processes.settled()
    yield processes
    await processes.stop()


class Engines(ScriptedEngines):
    """The scripted ones, but for the language model."""

    def for_call(self) -> Engines:
        return self


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_a_conversation_outgrows_the_context_and_goes_on(processes: EngineProcesses) -> None:
    embedded = EmbeddedEngines(OPTIONS, directory=processes.directory)
    await embedded.start()
    engines = Engines()
    engines.llm = embedded.llm  # type: ignore[assignment]
    pid = processes.supervisor.processes["llm"].pid
    try:
        async with CallRegistry(lambda model: engines) as calls:
            client = FakeTransport().join(calls.open(None, "gpt-realtime"))
            client.say(
                "session.update",
                session={
                    "type": "realtime",
                    "output_modalities": ["text"],
                    "instructions": "Be brief.",
                    "max_output_tokens": 4,
                    "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
                },
            )

            async def answered() -> dict[str, Any]:
                client.events.clear()
                client.say("response.create")
                response: dict[str, Any] = (await client.until("response.done"))["response"]
                return response

            read = []
            for turn in range(6):
                client.say("conversation.item.create", item=user(f"{turn} is a number. " + "Go on. " * 20))
                response = await answered()
                assert response["status"] in ("completed", "incomplete"), response["status_details"]
                read.append(response["usage"]["input_tokens"])
            assert sum(read) > CONTEXT, "nothing was ever too long"
            assert max(read) < CONTEXT
            assert any(later < earlier for earlier, later in itertools.pairwise(read))
            # What cannot be shortened fails, and only that.
            client.say("conversation.item.create", item=user("Ça va, 你好? " * 2_000) | {"id": "huge"})
            response = await answered()
            assert response["status_details"]["error"]["code"] == "context_length_exceeded"
            client.say("conversation.item.delete", item_id="huge")
            assert (await answered())["status"] in ("completed", "incomplete")
        assert processes.supervisor.processes["llm"].pid == pid
    finally:
        await embedded.stop()
