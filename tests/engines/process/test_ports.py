"""Every port works through the socket, and failures come through by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from vivavoz.engines.ports import (
    Counted,
    Counts,
    EngineError,
    Finish,
    ReplyOptions,
    SpeechOptions,
    SttOptions,
    TextDelta,
    ToolCallDelta,
    Usage,
    Window,
)
from vivavoz.engines.process.adapters import ProcessLlm, ProcessStt, ProcessTts, ProcessTurnDetector
from vivavoz.engines.process.protocol import INPUT_LIMIT, WINDOW
from vivavoz.wire.items import InputAudio, InputImage, InputText, Message

from .conftest import Start, ask, told, toy_spec


async def pieces(*data: Any) -> AsyncIterator[Any]:
    for piece in data:
        yield piece


async def test_all_ports(start: Start) -> None:
    _, clients = await start(toy_spec())
    toy = clients["toy"]
    heard = [
        (t.text, t.final)
        async for t in ProcessStt(toy).transcribe(pieces(b"1234", b"12"), SttOptions(language="pt"))
    ]
    assert heard == [("4 ", False), ("2 ", False), ("6 bytes of pt", True)]
    spoken = [(s.pcm, s.text) async for s in ProcessTts(toy).synthesize(pieces("a", "b"), SpeechOptions())]
    assert spoken == [(b"aa", "a"), (b"bb", "b")]
    assert await ProcessTurnDetector(toy).judge(b"1" * 500) == 0.5
    assert await ask(toy, "") == [ToolCallDelta(0, "f", '{"a":'), Usage(1, 2, 3), Finish("max_output_tokens")]


async def test_tokens_are_counted_through_the_socket(start: Start) -> None:
    _, clients = await start(toy_spec())
    llm = ProcessLlm(clients["toy"], Window(100, 10))
    assert isinstance(llm, Counts)
    items = [Message(role="user", content=[InputText(text=text)]) for text in ("a", "b")]
    assert await llm.count(items, ReplyOptions(model="toy", instructions="four")) == Counted([7, 7], 4)
    with pytest.raises(EngineError, match="not today"):
        await llm.count(items, ReplyOptions(model="toy", instructions="refuse"))


async def test_sound_and_pictures_stay_behind(start: Start) -> None:
    _, clients = await start(toy_spec())
    parts = [
        InputAudio(audio="AAAA", transcript="hi"),
        InputImage(image_url="data:x"),
        InputText(text="there"),
    ]
    items = [Message(role="user", content=parts)]
    options = ReplyOptions(model="toy", instructions="items")
    (delta,) = [delta async for delta in ProcessLlm(clients["toy"]).reply(items, options)]
    assert isinstance(delta, TextDelta)
    assert "transcript='hi'" in delta.text
    assert "there" in delta.text
    assert "AAAA" not in delta.text
    assert "data:x" not in delta.text


async def test_what_an_engine_says_of_its_failure_arrives(start: Start) -> None:
    _, clients = await start(toy_spec())
    with pytest.raises(EngineError, match="not today") as refused:
        await ask(clients["toy"], "refuse")
    assert refused.value.code == "engine_moody"


async def test_a_bug_in_an_engine_fails_its_job_without_telling_what_was_said(start: Start) -> None:
    _, clients = await start(toy_spec())
    with pytest.raises(EngineError) as failed:
        await ask(clients["toy"], "raise")
    assert failed.value.code == "engine_failed"
    assert "secret" not in failed.value.message
    assert await told(clients["toy"], "running") == "1"


async def test_closing_the_stream_cancels_the_job(start: Start) -> None:
    _, clients = await start(toy_spec())
    toy = clients["toy"]
    async with aclosing(toy.stream("reply", [[], {"model": "toy", "instructions": "forever"}])) as stream:
        assert await anext(stream)
        assert await told(toy, "running") == "2"
    assert await told(toy, "running") == "1"


async def test_cancelling_the_reader_cancels_the_job(start: Start) -> None:
    _, clients = await start(toy_spec())
    toy = clients["toy"]
    reader = asyncio.create_task(ask(toy, "forever"))
    while await told(toy, "running") != "2":  # noqa: ASYNC110 - each question is a round trip, not a nap
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await told(toy, "running") == "1"


async def test_too_many_jobs_are_refused_by_name(start: Start) -> None:
    _, clients = await start(toy_spec(max_jobs=1))
    toy = clients["toy"]
    async with aclosing(toy.stream("reply", [[], {"model": "toy", "instructions": "forever"}])) as stream:
        assert await anext(stream)
        with pytest.raises(EngineError) as busy:
            await ask(toy, "pid")
        assert busy.value.code == "engine_busy"
    assert await told(toy, "pid")


async def test_a_slow_reader_holds_the_engine_back(start: Start) -> None:
    _, clients = await start(toy_spec())
    toy = clients["toy"]
    async with aclosing(toy.stream("reply", [[], {"model": "toy", "instructions": "count"}])) as stream:
        assert await anext(stream) == ["text", "0"]
        # Whatever the engine could send is here once it answered another job.
        assert await told(toy, "pid")
        (job,) = toy._jobs.values()
        assert job.results.qsize() <= WINDOW
        rest = [data[1] async for data in stream]
    assert rest == [str(n) for n in range(1, 1000)]


async def test_more_input_than_the_engine_takes_fails_the_job(start: Start) -> None:
    _, clients = await start(toy_spec())

    async def flood() -> AsyncIterator[str]:
        for _ in range(INPUT_LIMIT + WINDOW + 10):
            yield "x"
        await asyncio.Event().wait()

    async with aclosing(clients["toy"].stream("synthesize", {}, flood())) as stream:
        assert await anext(stream)
        # Unread results stop the engine; its input piles up to the limit.
        with pytest.raises(EngineError) as failed:
            await asyncio.wait_for(_never_acknowledge(clients["toy"], stream), 30)
        assert failed.value.code == "engine_busy"


async def _never_acknowledge(client: Any, stream: AsyncIterator[Any]) -> None:
    for job in list(client._jobs.values()):
        while True:
            await job.next()
    # It has failed already, and what it left to read ends with its failure.
    async for _ in stream:
        pass


async def test_the_givers_failure_is_the_jobs(start: Start) -> None:
    _, clients = await start(toy_spec())

    async def broken() -> AsyncIterator[str]:
        yield "a"
        raise LookupError("the giver broke")

    with pytest.raises(LookupError, match="the giver broke"):
        _ = [speech async for speech in ProcessTts(clients["toy"]).synthesize(broken(), SpeechOptions())]
    assert await told(clients["toy"], "running") == "1"
