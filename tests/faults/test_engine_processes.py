"""Engine processes killed and stopped in the middle of a sentence: two calls sound on, the response fails by
name, and the next turn works."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest

from bench.caller import BACK_S, Caller, sentence
from bench.engine_processes import engine_processes, send
from bench.rig import embedded_missing
from faults.conftest import LONGEST_GAP_S
from running import Running, vivavoz
from vivavoz.measuring.peer import Peers

pytestmark = pytest.mark.embedded

STOPPED_S = 5.0
STORIES = (
    "Tell me a long story about a fox and a bear, in many sentences.",
    "Count to 90, one by one, and leave none out.",
    "Describe every month of the year, from January on, with two sentences for each.",
    "Recite the alphabet, and for each letter name three animals.",
    "Explain at great length how a house is built, step by step.",
)
"""Questions that a small model should have much to say about. How much it says is its own affair."""
ENDED_WELL = ("completed", "incomplete")
NAMES = {signal.SIGKILL: {"engine_unavailable"}, signal.SIGSTOP: {"engine_stalled", "engine_unavailable"}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if missing := embedded_missing():
        pytest.skip(missing)
    with vivavoz(tmp_path_factory.mktemp("embedded"), engines="embedded") as running:
        yield running


@pytest.fixture
async def callers(service: Running) -> AsyncIterator[list[Caller]]:
    shared = Peers()
    both = [Caller(shared, service.url) for _ in range(2)]
    for caller in both:
        await caller.connect()
    yield both
    for caller in both:
        await caller.peer.close()
    await asyncio.to_thread(service.wait_for_calls, 0)


async def _heard(caller: Caller, story: str) -> str:
    """Ask, and wait until the answer is heard; its response."""
    asked = time.time()
    caller.ask(story)
    await caller.listener.audible(after=asked, timeout_s=BACK_S)
    return await caller.begun(asked, BACK_S)


async def _in_the_making(caller: Caller) -> str:
    """Ask until an answer is heard before it is complete; its response."""
    for story in STORIES:
        response_id = await _heard(caller, story)
        if response_id in caller.in_the_making():
            return response_id
        await caller.quiet()
    raise AssertionError(f"each of {len(STORIES)} answers was complete when it was heard")


async def _strike(service: Running, stage: str, number: signal.Signals) -> float:
    """Kill or stop the process of a stage; returns when that is over, with when it began."""
    process = engine_processes(service.process.pid)[stage]
    began = time.time()
    send(process, number)
    if number is signal.SIGSTOP:
        await asyncio.sleep(STOPPED_S)
        send(process, signal.SIGCONT)
    return began


def _sounded_on(caller: Caller, after: float) -> None:
    """Packets came all the time, and what they carried took as long as it lasted. How evenly they come on an
    idle machine is measured, not tested."""
    arrivals = [each for each in caller.listener.arrivals if each[0] >= after]
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(arrivals)) < LONGEST_GAP_S
    (first, stamp), (last, following) = arrivals[0], arrivals[-1]
    sound = ((following - stamp) & 0xFFFFFFFF) / 48_000
    assert abs(sound - (last - first)) < LONGEST_GAP_S


def _all_ready(service: Running) -> bool:
    return all(row["state"] == "ready" for row in service.get("/healthz")["engines"])


async def _works_again(service: Running, callers: list[Caller]) -> None:
    async with asyncio.timeout(BACK_S):
        while not await asyncio.to_thread(_all_ready, service):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    for caller in callers:
        await caller.quiet()
        assert await caller.next_turn_works()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
@pytest.mark.parametrize("stage", ["llm", "tts"])
async def test_a_response_fails_by_name(
    service: Running, callers: list[Caller], stage: str, number: signal.Signals
) -> None:
    first, second = callers
    for _ in STORIES:
        await _heard(first, STORIES[0])
        # It happens when the second one has just begun to speak.
        response_id = await _in_the_making(second)
        began = await _strike(service, stage, number)
        done = await second.done(response_id, BACK_S)
        # What was struck may just have done its part: then nothing was interrupted, and it is done once more.
        if done["status"] not in ENDED_WELL:
            break
        await _works_again(service, callers)
    assert done["status"] == "failed", f"each of {len(STORIES)} answers was complete in spite of it"
    assert done["status_details"]["error"]["code"] in NAMES[number]
    await _works_again(service, callers)
    for caller in callers:
        _sounded_on(caller, began)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
async def test_a_transcription_fails_by_name(
    service: Running, callers: list[Caller], number: signal.Signals
) -> None:
    speaking, listening = callers
    await _heard(listening, STORIES[0])
    asked = time.time()
    utterance = speaking.voice.say(sentence("seven " * 12))
    await speaking.peer.wait_for("input_audio_buffer.speech_started", after=asked, timeout_s=BACK_S)

    began = await _strike(service, "stt", number)

    kind = "conversation.item.input_audio_transcription.failed"
    _, failed = await speaking.peer.wait_for(kind, after=began, timeout_s=BACK_S)
    _, done = await speaking.peer.wait_for("response.done", after=began, timeout_s=BACK_S)
    assert utterance.over.is_set()
    assert failed["error"]["code"] in NAMES[number]
    assert done["response"]["status"] == "failed"
    await _works_again(service, callers)
    for caller in callers:
        _sounded_on(caller, began)


async def test_without_its_turn_detector_a_call_goes_on(service: Running, callers: list[Caller]) -> None:
    for caller in callers:
        await caller.update(
            audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}
        )

    began = await _strike(service, "turn", signal.SIGKILL)

    for caller in callers:
        assert await caller.next_turn_works()
        _sounded_on(caller, began)
    assert "turn" in await _processes(service)


async def _processes(service: Running) -> dict[str, Any]:
    async with asyncio.timeout(BACK_S):
        while len(found := engine_processes(service.process.pid)) < 4:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)
    return found
