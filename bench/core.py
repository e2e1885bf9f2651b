"""What a step of the session core costs in a long conversation, in microseconds.

One process, no engines, no network: a session with 1,000 items does what a call does all the time. Encoding
an event and decoding a client's message are measured with it: every step of a WebSocket call pays them too.
The second table is what happens once a turn or once a call, and may grow with the conversation.
"""

from __future__ import annotations

import gc
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

from bench import rig
from vivavoz.session import effects, inputs
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.codec import decode_client_event, encode
from vivavoz.wire.options import SessionOptions

ITEMS = 1_000
GOAL_US = 20.0
FRAME_MS = 20
FRAME = bytes(FRAME_MS * 48)
CHUNK = bytes(100 * 48)

Step = Callable[[], object]


def run(*, quick: bool = False) -> dict[str, Any]:
    rounds = 500 if quick else 5_000
    often = {name: _measured(step, rounds) for name, step in _often()}
    seldom = {name: _measured(step, max(rounds // 50, 20)) for name, step in _seldom()}
    header = ["", "p50", "p95", "p99", "goal (p50)"]
    rig.table(
        f"core, {ITEMS} items, us a step, {rounds} steps each",
        header,
        [[name, *_shown(values), GOAL_US] for name, values in often.items()],
    )
    rig.table(
        "once a turn or a call", header[:-1], [[name, *_shown(values)] for name, values in seldom.items()]
    )
    figures = {name: rig.summary(values) for name, values in {**often, **seldom}.items()}
    rig.write("core", {"us": figures})
    return figures


def _shown(values: list[float]) -> list[float]:
    return [rig.percentile(values, share) for share in (50, 95, 99)]


def _measured(step: Step, rounds: int) -> list[float]:
    """Microseconds of each of ``rounds`` steps, after some to warm up. The collector waits meanwhile: it is
    paid for by allocation everywhere, not by the step that happens to trigger it."""
    for _ in range(min(rounds, 100)):
        step()
    gc.collect()
    gc.disable()
    try:
        times = []
        for _ in range(rounds):
            began = perf_counter_ns()
            step()
            times.append((perf_counter_ns() - began) / 1_000)
        return times
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------- a session


def _session(kind: Any = "webrtc", **options: Any) -> Session:
    """A session in which much has been said."""
    session = Session(SessionOptions(**options), Ids(seed=b"bench"), Settings())
    session.step(0.0, inputs.Attached(sender="client", kind=kind))
    for number in range(ITEMS):
        role, part = ("assistant", "output_text") if number % 2 else ("user", "input_text")
        item = {"type": "message", "role": role, "content": [{"type": part, "text": f"sentence {number}"}]}
        _client(session, {"type": "conversation.item.create", "item": item})
    return session


def _client(session: Session, event: dict[str, Any]) -> list[effects.Effect]:
    happened = inputs.Received(event=decode_client_event(json.dumps(event)), sender="client")
    return session.step(0.0, happened)


def _job(done: list[effects.Effect]) -> int:
    return next(effect.job for effect in done if isinstance(effect, effects.StartJob))


def _encoded(done: list[effects.Effect]) -> None:
    for effect in done:
        if isinstance(effect, effects.Send):
            encode(effect.event)


# ------------------------------------------------------------------------------------- steps


def _often() -> Iterator[tuple[str, Step]]:
    yield "20 ms of sound, and its score: silence", _listening(0.0)
    yield "20 ms of sound, and its score: speech", _listening(1.0)
    yield "20 ms of sound by WebSocket, decoded, and its score", _appending()
    yield "text delta, encoded", _reply_text()
    yield "text delta to the voice", _reply_spoken()
    yield "100 ms of speech with its words, encoded", _speech()
    yield "function call arguments delta, encoded", _call()
    yield "client event decoded: response.cancel", lambda: decode_client_event(_CANCEL)
    yield "client event decoded: conversation.item.create", lambda: decode_client_event(_ITEM)
    yield "client event decoded: session.update", lambda: decode_client_event(_UPDATE)


def _seldom() -> Iterator[tuple[str, Step]]:
    session = _session()
    yield "response.create and response.cancel", lambda: _create_and_cancel(session)
    yield "conversation.item.create, encoded", _item()
    yield "session.update, encoded", _update()
    yield "dump", session.dump
    dumped = session.dump()
    yield "load", lambda: Session.load(dumped)


_CREATE = b'{"type":"response.create"}'
_CANCEL = b'{"type":"response.cancel","event_id":"event_1"}'
_APPEND = b'{"type":"input_audio_buffer.append","audio":"%s"}' % b64encode(FRAME)
_ITEM = (
    b'{"type":"conversation.item.create","item":{"type":"message","role":"user",'
    b'"content":[{"type":"input_text","text":"What is the weather like in London?"}]}}'
)
_UPDATE = (
    b'{"type":"session.update","session":{"type":"realtime","instructions":"Be brief.","audio":{"input":'
    b'{"turn_detection":{"type":"server_vad","silence_duration_ms":500}},"output":{"voice":"marin"}}}}'
)


def _listening(probability: float) -> Step:
    session, heard = _session(), 0

    def step() -> None:
        nonlocal heard
        heard += FRAME_MS * 24
        session.step(0.0, inputs.AudioReceived(pcm=FRAME))
        _encoded(session.step(0.0, inputs.AudioScored(end_sample=heard, probability=probability)))

    return step


def _appending() -> Step:
    session, heard = _session("websocket"), 0

    def step() -> None:
        nonlocal heard
        heard += FRAME_MS * 24
        session.step(0.0, inputs.Received(event=decode_client_event(_APPEND), sender="client"))
        session.step(0.0, inputs.AudioScored(end_sample=heard, probability=0.0))

    return step


def _reply_text() -> Step:
    session = _session(output_modalities=["text"])
    job = _job(_client(session, {"type": "response.create"}))
    return lambda: _encoded(session.step(0.0, inputs.RepliedText(job=job, text=" word")))


def _reply_spoken() -> Step:
    session = _session()
    job = _job(_client(session, {"type": "response.create"}))
    return lambda: session.step(0.0, inputs.RepliedText(job=job, text=" word"))


def _speech() -> Step:
    session = _session("websocket")
    reply = _job(_client(session, {"type": "response.create"}))
    voice = _job(session.step(0.0, inputs.RepliedText(job=reply, text="All of it.")))
    return lambda: _encoded(session.step(0.0, inputs.Synthesized(job=voice, pcm=CHUNK, text=" word")))


def _call() -> Step:
    session = _session()
    job = _job(_client(session, {"type": "response.create"}))
    piece = inputs.RepliedCall(job=job, index=0, name="f", arguments='"a"')
    return lambda: _encoded(session.step(0.0, piece))


def _create_and_cancel(session: Session) -> None:
    session.step(
        0.0, inputs.Received(event=decode_client_event(b'{"type":"response.create"}'), sender="client")
    )
    session.step(0.0, inputs.Received(event=decode_client_event(_CANCEL), sender="client"))


def _item() -> Step:
    session = _session()
    return lambda: _encoded(
        session.step(0.0, inputs.Received(event=decode_client_event(_ITEM), sender="client"))
    )


def _update() -> Step:
    session = _session()
    return lambda: _encoded(
        session.step(0.0, inputs.Received(event=decode_client_event(_UPDATE), sender="client"))
    )
