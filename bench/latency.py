"""How soon the service answers and how soon it falls silent, measured at the caller's end of real WebRTC.

Scripted engines, so that what is measured is ours. One caller, who speaks, hears the answer begin, and
interrupts it with the next utterance at a moment that is different each time:

* answer: from the packet with the last sample of speech, sent, to the first audible packet, received; less
  the silence window that the session asked for;
* barge-in: from the first sample of speech, spoken, to the end of the last audible sample received.

Once as it comes, and once with ``barge_in = "hold"`` (docs/turns.md).
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

from bench import rig, stages
from vivavoz.engines.scripted.voice import say
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Utterance, Voice, trimmed

WINDOW_MS = 200
ANSWER_GOAL_MS = 80.0
BARGE_IN_GOAL_MS = 250.0

_SCRIPT = """
[defaults]
says = "{words}"
""".format(words=" ".join(["seven eleven"] * 30))
_SENTENCE = "now please tell me the numbers again"


def run(*, quick: bool = False) -> dict[str, Any]:
    turns = 6 if quick else 40
    with tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder:
        traces = Path(folder, "traces")
        with rig.vivavoz("scripted", script=_SCRIPT, trace_dir=traces) as server:
            answers, stops, spans = asyncio.run(_converse(server.url, turns))
        with rig.vivavoz("scripted", script=_SCRIPT, environment={"VIVAVOZ_BARGE_IN": "hold"}) as server:
            held_answers, held_stops, _ = asyncio.run(_converse(server.url, turns))
        (trace,) = traces.glob("*.trace")
        rows = stages.split(spans, stages.marks(trace), WINDOW_MS)
    figures = {
        "answer_ms": rig.summary(answers),
        "barge_in_ms": rig.summary(stops),
        "hold": {"answer_ms": rig.summary(held_answers), "barge_in_ms": rig.summary(held_stops)},
        "stages_ms": rows,
    }
    rig.table(
        f"latency, scripted engines, {turns} turns over WebRTC (ms)",
        ["", "p50", "p95", "max", "goal (p95)"],
        [
            ["answer, less the silence window", *_shown(answers), ANSWER_GOAL_MS],
            ["speech onset -> our voice stops", *_shown(stops), BARGE_IN_GOAL_MS],
            ['answer, barge_in = "hold"', *_shown(held_answers), ANSWER_GOAL_MS],
            ['our voice stops, barge_in = "hold"', *_shown(held_stops), BARGE_IN_GOAL_MS],
        ],
    )
    rig.table("where the answer's milliseconds go (ms since the mark before)", ["stage", "p50", "p95"], rows)
    rig.write("latency", figures)
    return figures


def _shown(values: list[float]) -> list[float]:
    return [rig.percentile(values, 50), rig.percentile(values, 95), max(values)]


async def _converse(url: str, turns: int) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    chance = random.Random(1)
    voice, listener = Voice(), Listener()
    peer = Peer(Peers(), voice, listener)
    await peer.connect(lambda offer: rig.post_offer(url, offer))
    detection = {"type": "server_vad", "silence_duration_ms": WINDOW_MS}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    peer.send({"type": "session.update", "session": session})
    await peer.wait_for("session.updated")
    speech = trimmed(b"".join(say(f"{word} ", "echo", 1.2) for word in _SENTENCE.split()))
    answers: list[float] = []
    stops: list[float] = []
    spans: list[tuple[float, float]] = []
    for number in range(turns):
        utterance = voice.say(speech)
        await utterance.over.wait()
        if number:
            stops.append(_stopped_after_ms(utterance, listener))
        heard = await listener.audible(after=utterance.ended)
        answers.append((heard.arrived - utterance.ended) * 1000 - WINDOW_MS)
        spans.append((utterance.ended, heard.arrived))
        await asyncio.sleep(chance.uniform(0.5, 0.9))
    await peer.close()
    return answers, stops, spans


def _stopped_after_ms(utterance: Utterance, listener: Listener) -> float:
    """Raises AssertionError where it did not stop while the caller spoke."""
    last = listener.last_audible(utterance.began, utterance.ended)
    if last is None:
        return 0.0
    if last > utterance.ended - 0.1:
        raise AssertionError("the voice went on while the caller spoke")
    return (last - utterance.began) * 1000
