"""Work that may be in vain: only in an engine that is idle, and only until somebody wants something of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from vivavoz.engines.ports import EngineError, ReplyOptions, SpeechOptions, Tentative, TextDelta
from vivavoz.engines.process.adapters import ProcessLlm, ProcessTts
from vivavoz.engines.process.client import EngineClient
from vivavoz.engines.process.jobs import Job, Precedence
from vivavoz.engines.process.protocol import Failed

from .conftest import Start, ask, told, toy_spec
from .test_ports import pieces

FOREVER = ReplyOptions(model="toy", instructions="forever")


async def begun(client: EngineClient) -> tuple[Any, Any]:
    """A reply in vain, in the middle, and how to keep it."""
    attempt = ProcessLlm(client).tentative()
    assert isinstance(attempt, Tentative)
    deltas: Any = attempt.reply([], FOREVER)
    assert await anext(deltas) == TextDelta("on and on")
    return deltas, attempt


async def test_it_ends_at_once_for_what_another_call_wants(start: Start) -> None:
    supervisor, clients = await start(toy_spec())
    other = EngineClient(supervisor.directory / "toy.sock", "toy")
    await other.start()
    try:
        deltas, attempt = await begun(clients["toy"])
        assert await told(other, "running") == "1", "the other worker's reply found it still running"
        with pytest.raises(EngineError) as gone:
            await anext(deltas)
        assert gone.value.code == "engine_busy"
        assert not await attempt.keep()
    finally:
        await other.stop()


async def test_it_is_not_begun_while_anything_is_done(start: Start) -> None:
    _, clients = await start(toy_spec())
    toy = clients["toy"]
    async with aclosing(toy.stream("reply", [[], {"model": "toy", "instructions": "forever"}])) as stream:
        await anext(stream)
        with pytest.raises(EngineError) as refused:
            await begun(toy)
        assert refused.value.code == "engine_busy"
    deltas, _ = await begun(toy)
    with pytest.raises(EngineError):
        await begun(toy)
    await deltas.aclose()
    deltas, _ = await begun(toy)
    await deltas.aclose()


async def test_what_is_kept_is_like_any_other(start: Start) -> None:
    _, clients = await start(toy_spec())
    deltas, attempt = await begun(clients["toy"])
    assert await attempt.keep()
    assert await told(clients["toy"], "running") == "2"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(deltas)
    await deltas.aclose()
    assert await told(clients["toy"], "running") == "1"


async def test_what_is_done_is_kept_and_what_failed_is_not(start: Start) -> None:
    _, clients = await start(toy_spec())
    done = ProcessLlm(clients["toy"]).tentative()
    options = ReplyOptions(model="toy")
    assert len([delta async for delta in done.reply([], options)]) == 3
    assert await done.keep()
    failed = ProcessLlm(clients["toy"]).tentative()
    with pytest.raises(EngineError, match="not today"):
        await anext(aiter(failed.reply([], ReplyOptions(model="toy", instructions="refuse"))))
    assert not await failed.keep()
    assert not await ProcessLlm(clients["toy"]).tentative().keep(), "nothing was asked"


async def test_counting_and_reading_ahead_are_not_in_its_way(start: Start) -> None:
    _, clients = await start(toy_spec())
    deltas, attempt = await begun(clients["toy"])
    await ProcessLlm(clients["toy"]).count([], FOREVER)
    assert await attempt.keep()
    await deltas.aclose()


async def test_a_voice_that_is_quick_can_be_asked_too(start: Start) -> None:
    _, clients = await start(toy_spec())
    assert ProcessTts(clients["toy"]).tentative() is None
    attempt = ProcessTts(clients["toy"], quick=True).tentative()
    assert attempt is not None
    spoken = [s.text async for s in attempt.synthesize(pieces("a", "b"), SpeechOptions())]
    assert spoken == ["a", "b"]
    assert await attempt.keep()


async def test_a_full_engine_gives_up_the_tentative_job_first(start: Start) -> None:
    _, clients = await start(toy_spec(max_jobs=1))
    deltas, _ = await begun(clients["toy"])
    assert len(await ask(clients["toy"], "")) == 3
    await deltas.aclose()


async def test_precedence_forgets_what_is_over() -> None:
    sent: list[Any] = []

    def job(number: int) -> Job:
        made = Job(number, sent.append)
        made.task = asyncio.create_task(asyncio.sleep(60))
        return made

    precedence = Precedence()
    first, second = job(1), job(2)
    precedence.attempt(first)
    assert precedence.occupied
    assert precedence.keep(first)
    assert not precedence.keep(first)
    precedence.make_way()
    assert sent == []
    first.cancel()
    assert not precedence.occupied
    precedence.attempt(second)
    precedence.make_way()
    assert [(type(each), each.code) for each in sent] == [(Failed, "engine_busy")]
    assert not precedence.keep(second)
