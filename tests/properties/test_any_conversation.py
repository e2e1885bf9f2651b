"""Whatever happens, in whatever order: the promises of :class:`tests.session.watch.Watch` hold.

``VIVAVOZ_PROPERTY_EXAMPLES`` asks for more stories than the suite plays, and for different ones each time.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.world import INPUT_MS, VADS, Move, World, beginnings, moves
from tests.session import oracle
from tests.session.watch import Watch
from vivavoz.session import inputs
from vivavoz.session.effects import Judge, Send, StartJob, Transcribe
from vivavoz.session.session import Session
from vivavoz.session.utterance import JUDGED_MS
from vivavoz.wire.base import replace
from vivavoz.wire.codec import pack
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import TranscriptionPatch

EXAMPLES = int(os.environ.get("VIVAVOZ_PROPERTY_EXAMPLES", "0"))

stories = settings(
    max_examples=EXAMPLES or 200,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
story = st.lists(moves(), min_size=5, max_size=60)


def played(beginning: Move, moves: list[Move]) -> World:
    world = World(beginning)
    for move in moves:
        world.move(move)
    return world


@stories
@given(beginnings(), story)
def test_no_story_breaks_a_promise(beginning: Move, moves: list[Move]) -> None:
    world = played(beginning, moves)
    for _, _, done in world.trace:
        for effect in done:
            if isinstance(effect, Send):
                oracle.check(effect.event)


@stories
@given(beginnings(), story)
def test_everything_ends_once_the_engines_are_done(beginning: Move, moves: list[Move]) -> None:
    """When every job has ended, no response waits, and everything that was added is done."""
    world = played(beginning, moves)
    for _ in range(10 * len(world.trace)):
        if not world.live():
            break
        world.give(inputs.JobEnded(job=world.live()[0]))
    assert not world.live()
    assert world.watch.responses == {}
    assert not any(world.watch.open.values()), world.watch.open


@stories
@given(beginnings(), story)
def test_a_voice_that_is_held_comes_back(beginning: Move, moves: list[Move]) -> None:
    """Within the time that the session itself has asked for."""
    world = played(beginning, moves)
    deadline = world.session.deadline
    if world.held:
        assert deadline is not None
        assert deadline <= world.now + 1.0
        world.now = deadline
        world.give(inputs.TimePassed())
    assert not world.held


@stories
@given(beginnings(), story, st.integers(0, 400))
def test_dumped_and_loaded_anywhere_the_trace_replays_to_the_same_effects(
    beginning: Move, moves: list[Move], at: int
) -> None:
    world = played(beginning, moves)
    again = world.fresh()
    for index, (now, happened, done) in enumerate(world.trace):
        if index == at % len(world.trace) or index % 7 == 0:
            again = Session.load(again.dump())
        assert pack(again.step(now, happened)) == pack(done)


@pytest.mark.parametrize("plan", ["cascade", "converse"])
@pytest.mark.parametrize("vad", VADS[0:3:2], ids=["push to talk", "vad"])
@pytest.mark.parametrize("probability", [None, 0.0, 0.9], ids=["unscored", "silence", "speech"])
def test_endless_sound_does_not_grow_a_session(plan: str, vad: Any, probability: float | None) -> None:
    world = World((plan, False, "webrtc", vad, False, "audio", [], None, False))
    largest = 0
    for _ in range(5 * INPUT_MS // 20):
        if probability is None:
            world.give(inputs.AudioReceived(pcm=bytes(960)))
        else:
            world.move(("hears", 20, probability))
        largest = max(largest, len(world.session.dump()))
    assert largest < 2 * INPUT_MS * 48 + 20_000


def test_the_longest_duration_ends_every_job() -> None:
    world = World(("cascade", False, "webrtc", {"type": "server_vad"}, True, "audio", [], None, False))
    world.move(("client", "respond", 0, 0))
    world.move(("client", "respond_aside", 0, 0))
    world.move(("hears", 100, 0.0))
    assert len(world.live()) == 2
    assert world.session.deadline == 3_600
    world.move(("time", 3_600.0))
    assert world.live() == []
    assert world.session.deadline is None


def test_a_long_turn_keeps_only_what_a_turn_detector_listens_to() -> None:
    world = World(("cascade", True, "webrtc", {"type": "semantic_vad"}, False, "audio", [], None, False))
    world.settings = replace(world.settings, input_ms=300_000)
    world.session, world.watch = world.fresh(), Watch()
    for _ in range(30):
        world.move(("hears", 1_000, 0.9))
    assert len(world.session.dump()) < (JUDGED_MS + 1_000) * 48


@stories
@given(story)
def test_a_transcription_session_never_answers(moves: list[Move]) -> None:
    world = World(("cascade", False, "websocket", {"type": "server_vad"}, True, "audio", [], None, False))
    world.options = effective_session(TranscriptionPatch(), "gpt-realtime")
    world.session, world.watch = world.fresh(), Watch()
    for move in moves:
        world.move(move)
    for _, _, done in world.trace:
        for effect in done:
            assert not isinstance(effect, StartJob) or isinstance(effect.task, Transcribe | Judge)
            if isinstance(effect, Send):
                oracle.check(effect.event)
