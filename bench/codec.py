"""Decoding and encoding of events, against pydantic models of the same events (the official SDK's own types).

Both get the same bytes and validate them, both write the same event as JSON, and both turn base64 into sound
and back (ours does so by itself). Rounds are interleaved.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from bench import rig
from vivavoz.wire.codec import decode_client_event, encode
from vivavoz.wire.server_events import OutputAudioDelta, OutputAudioTranscriptDelta

GOAL = 3.0
SOUND = bytes(100 * 48)

CLIENT: dict[str, dict[str, Any]] = {
    "session.update": {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Be brief. " * 20,
            "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}},
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
        },
    },
    "conversation.item.create": {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
    },
    "input_audio_buffer.append, 100 ms": {
        "type": "input_audio_buffer.append",
        "audio": b64encode(SOUND).decode(),
    },
}

_WHERE: dict[str, Any] = {
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
}


def run(*, quick: bool = False) -> dict[str, Any]:
    try:
        from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
        from pydantic import TypeAdapter
    except ImportError as error:
        raise rig.Skipped(f"{error.name} is not installed") from error
    client: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
    server: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}
    for name, event in CLIENT.items():
        data = json.dumps(event).encode()
        theirs = _call(client.validate_json, data)
        if "audio" in event:
            theirs = _call(lambda data: b64decode(client.validate_json(data).audio), data)
        pairs[f"decode {name}"] = (_call(decode_client_event, data), theirs)
    words = OutputAudioTranscriptDelta(**_WHERE, delta="Once upon a time ")
    pairs["encode transcript delta"] = (
        _call(encode, words),
        server.validate_json(encode(words)).model_dump_json,
    )
    sound = OutputAudioDelta(**_WHERE, delta=SOUND)
    model = server.validate_json(encode(sound))
    pairs["encode audio delta, 100 ms"] = (
        _call(encode, sound),
        lambda: model.model_copy(update={"delta": b64encode(SOUND).decode()}).model_dump_json(),
    )
    figures = {name: _compared(*pair, rounds=200 if quick else 3_000) for name, pair in pairs.items()}
    rig.table(
        "wire codec against pydantic (us p50)",
        ["", "vivavoz", "pydantic", "times faster", "goal"],
        [[name, *found, found[1] / found[0], GOAL] for name, found in figures.items()],
    )
    rig.write("codec", {"us_p50": figures})
    return figures


def _call(function: Callable[[Any], object], argument: Any) -> Callable[[], object]:
    return lambda: function(argument)


def _compared(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Microseconds, medians of ``rounds`` runs of each, one after the other."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for which, function in enumerate((ours, theirs)):
            began = perf_counter_ns()
            function()
            times[which].append((perf_counter_ns() - began) / 1_000)
    return rig.percentile(times[0], 50), rig.percentile(times[1], 50)
