"""An engine that raises in the middle of a sentence costs that response, by name, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bench.caller import Caller, sentence
from faults.conftest import Calls


async def _response(caller: Caller, after: float) -> dict[str, Any]:
    _, done = await caller.peer.wait_for("response.done", after=after)
    return dict(done["response"])


@pytest.mark.parametrize(("about", "code"), [("no voice", "voice_broke"), ("no thought", "model_broke")])
async def test_a_response_fails_by_name_and_the_next_turn_works(calls: Calls, about: str, code: str) -> None:
    other = await calls.talker()
    caller = await calls.connect()
    began = time.time()

    caller.ask(f"Talk with {about}.")
    failed = await _response(caller, began)

    assert failed["status"] == "failed"
    assert failed["status_details"]["error"]["code"] == code
    assert await caller.next_turn_works()
    await other.talks_on()


async def test_what_was_said_before_it_broke_is_heard(calls: Calls) -> None:
    caller = await calls.connect()
    began = time.time()

    caller.ask("Talk with no voice.")

    await caller.listener.audible(after=began)
    _, stopped = await caller.peer.wait_for("output_audio_buffer.stopped", after=began)
    assert stopped["response_id"] == (await _response(caller, began))["id"]


async def test_speech_that_cannot_be_recognised_fails_by_name(calls: Calls) -> None:
    other = await calls.talker()
    caller = await calls.connect()
    began = time.time()

    caller.voice.say(sentence("seven eleven seven eleven"))
    _, failed = await caller.peer.wait_for("conversation.item.input_audio_transcription.failed", after=began)
    response = await _response(caller, began)

    assert failed["error"]["code"] == "ear_broke"
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "ear_broke"
    assert await caller.next_turn_works()
    await other.talks_on()
