"""Whatever a client sends, in the middle of whatever happens: refused by name or applied, never half of each.

``make fuzz`` plays a million events, others each time; the suite plays the same few each time.
"""

from __future__ import annotations

import json
import random

import pytest

from tests.fuzz.amount import EVENTS, SEED
from tests.fuzz.mutation import mutated
from tests.properties.world import CLIENT_MOVES, PROLOGUES, RESULTS, VADS, WINDOWS, Move, World
from tests.scenarios.playbook import received
from tests.wire import events
from vivavoz.session import inputs
from vivavoz.session.effects import HangUp, Send
from vivavoz.wire.beta.incoming import to_ga
from vivavoz.wire.codec import decode_client_event, encode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.server_events import ErrorEvent, ResponseCreated

STORY = 250
"""Events in one session."""
PARTS = 4


def beginning(source: random.Random) -> Move:
    return (
        source.choice(("cascade", "converse")),
        source.random() < 0.5,
        source.choice(("webrtc", "websocket")),
        source.choice(VADS),
        source.random() < 0.5,
        source.choice(("audio", "text")),
        source.choice(PROLOGUES),
        source.choice(WINDOWS),
        source.random() < 0.5,
    )


def move(source: random.Random) -> Move:
    """What else happens meanwhile; the world's own moves."""
    a, b = source.randrange(8), source.randrange(8)
    return source.choice(
        (
            ("client", source.choice(CLIENT_MOVES), a, b),
            ("honest", a, b),
            ("honest", a, b),
            ("reply", a),
            ("turn", a),
            ("calls", a),
            ("listed",),
            ("hears", 100, source.choice((0.0, 0.9))),
            ("result", source.choice(RESULTS), a, b),
            ("time", source.choice((0.0, 0.1, 10.0))),
            ("playout", source.choice(("started", "ended", "flushed")), a, b),
        )
    )


def play(world: World, message: str | bytes) -> bool:
    """Whether the message was an event. Raises AssertionError where a refusal does anything but refuse."""
    happened = received(message, "client")
    world.give(happened)
    if not isinstance(happened, inputs.Refused):
        return True
    done = world.trace[-1][2]
    if world.watch.ended:
        assert done == []
        return False
    assert [type(effect) for effect in done] == [Send]
    assert isinstance(done[0], Send)
    assert isinstance(done[0].event, ErrorEvent)
    assert done[0].event.error.message
    return False


@pytest.mark.parametrize("part", range(PARTS))
def test_no_event_breaks_a_session(part: int) -> None:
    source = random.Random(f"{SEED} {part}")
    todo = EVENTS // PARTS
    applied = responses = 0
    while todo > 0:
        world = World(beginning(source))
        for _ in range(min(STORY, todo)):
            known = [*world.items[-8:], *world.responses[-4:]]
            message = mutated(source, source.choice(events.EVENTS), known)
            applied += play(world, message)
            if source.random() < 0.3:
                world.move(move(source))
        todo -= STORY
        # The watch has seen at every step that no second response of the conversation begins.
        for _, _, done in world.trace:
            for effect in done:
                if isinstance(effect, Send):
                    json.loads(encode(effect.event))
                    responses += isinstance(effect.event, ResponseCreated)
                assert not isinstance(effect, HangUp) or world.watch.ended
        world.trace.clear()
    # The mistakes are not so many that nothing is tried.
    assert applied > EVENTS // PARTS // 10
    assert responses > EVENTS // PARTS // 500


BETA = [
    {
        "type": "session.update",
        "event_id": "e1",
        "session": {
            "modalities": ["text", "audio"],
            "instructions": "i",
            "voice": "alloy",
            "input_audio_format": "pcm16",
            "output_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "threshold": 0.5},
            "tools": [events.TOOL],
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_response_output_tokens": 7,
        },
    },
    {
        "type": "response.create",
        "response": {"modalities": ["text"], "voice": "alloy", "temperature": 0.8, "metadata": {"a": "b"}},
    },
    *events.EVENTS,
]


def test_no_message_breaks_the_translation_of_the_beta() -> None:
    source = random.Random(f"{SEED} beta")
    read = 0
    for _ in range(EVENTS // PARTS):
        message = mutated(source, source.choice(BETA), ["a", "root"])
        try:
            decode_client_event(to_ga(message))
        except ProtocolError:
            continue
        read += 1
    assert read > EVENTS // PARTS // 20
