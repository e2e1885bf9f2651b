"""How soon the service answers with real models, against a bare chain of the same models in the same run.

Distinct questions, spoken by the embedded voice, asked in turns: one question of a fresh call over WebRTC,
the same question of :mod:`bench.chain`. From the last sample of speech to the first audible one, the silence
window included on both sides.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench import rig, stages
from vivavoz.engines.embedded.runtime import require
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice, trimmed

WINDOW_MS = 200
GOAL = 0.75
_QUESTIONS = (
    "What is the capital of France?",
    "How many days are there in a week?",
    "Can you tell me what a rainbow is?",
    "Which animal says meow?",
    "What color is the sky on a clear day?",
    "Who wrote the play Hamlet?",
    "What do bees make in their hives?",
    "How do I boil an egg?",
    "What is the largest ocean on earth?",
    "Why do leaves fall in autumn?",
    "What is two plus seven?",
    "Where do penguins live?",
    "What should I wear when it rains?",
    "How long does it take to bake bread?",
    "What is the opposite of cold?",
    "Which month comes after June?",
    "What can I cook with potatoes?",
    "Why is the sea salty?",
    "What does a baker do in the morning?",
    "How far away is the moon?",
    "What is a good name for a dog?",
)
"""The first one warms both sides and is not counted."""


def run(*, quick: bool = False) -> dict[str, Any]:
    if missing := rig.embedded_missing():
        raise rig.Skipped(missing)
    questions = _QUESTIONS[:5] if quick else _QUESTIONS
    with tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder:
        spoken = [_spoken(question, Path(folder, f"{n}.pcm")) for n, question in enumerate(questions)]
        traces = Path(folder, "traces")
        with rig.vivavoz("embedded", trace_dir=traces) as server, _chain() as chain:
            ours, bare, spans = asyncio.run(_ask(server.url, chain, spoken))
        found = sorted((m for path in traces.glob("*.trace") for m in stages.marks(path)), key=lambda m: m.at)
        rows = stages.split(spans, found, WINDOW_MS)
    totals = [each["total"] for each in bare]
    ratio = statistics.median(ours) / statistics.median(totals)
    pairs = statistics.median(a / b for a, b in zip(ours, totals, strict=True))
    rig.table(
        f"embedded engines, {len(ours)} distinct questions over WebRTC, window {WINDOW_MS} ms included (ms)",
        ["", "p50", "p95", "least", "most"],
        [
            ["vivavoz, speech end -> first audible", *_shown(ours)],
            ["bare chain of the same models", *_shown(totals)],
            *(
                [f"  chain: {name}", *_shown([each[name] for each in bare])]
                for name in ("vad", "stt", "llm", "tts")
            ),
        ],
    )
    print(f"  ratio of the medians: {ratio:.2f}, median of the ratios: {pairs:.2f} (goal: at most {GOAL})")
    rig.table("where the service's milliseconds go (ms since the mark before)", ["stage", "p50", "p95"], rows)
    figures = {
        "ours_ms": ours,
        "chain_ms": bare,
        "ratio": round(ratio, 3),
        "median_of_ratios": round(pairs, 3),
        "stages_ms": rows,
    }
    rig.write("embedded", figures)
    return figures


def _shown(values: list[float]) -> list[float]:
    return [rig.percentile(values, 50), rig.percentile(values, 95), min(values), max(values)]


def _spoken(question: str, path: Path) -> Path:
    samples = np.asarray(require("hibari").Hibari(threads=1)(question), dtype=np.float32)
    pcm = (samples * (0.6 * 32767 / float(np.abs(samples).max()))).astype("<i2").tobytes()
    path.write_bytes(trimmed(pcm))
    return path


class _Chain:
    """The other process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.chain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def __enter__(self) -> _Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, pcm: Path) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"pcm": str(pcm), "silence_ms": WINDOW_MS}) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._read()))

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the bare chain ended")
        return line


def _chain() -> _Chain:
    return _Chain()


async def _ask(
    url: str, chain: _Chain, spoken: list[Path]
) -> tuple[list[float], list[dict[str, float]], list[tuple[float, float]]]:
    ours: list[float] = []
    bare: list[dict[str, float]] = []
    spans: list[tuple[float, float]] = []
    shared = Peers()
    for number, path in enumerate(spoken):
        ended, heard = await _question(shared, url, path.read_bytes())
        await asyncio.sleep(1.0)
        measured = await asyncio.to_thread(chain.ask, path)
        await asyncio.sleep(0.5)
        if number:
            ours.append((heard - ended) * 1000)
            bare.append(measured)
            spans.append((ended, heard))
    return ours, bare, spans


async def _question(shared: Peers, url: str, pcm: bytes) -> tuple[float, float]:
    """When the question ended and when the answer was heard."""
    voice, listener = Voice(), Listener()
    peer = Peer(shared, voice, listener)
    await peer.connect(lambda offer: rig.post_offer(url, offer))
    detection = {"type": "server_vad", "silence_duration_ms": WINDOW_MS}
    session = {
        "type": "realtime",
        "instructions": rig.EMBEDDED_INSTRUCTIONS,
        "audio": {"input": {"turn_detection": detection}},
    }
    peer.send({"type": "session.update", "session": session})
    await peer.wait_for("session.updated")
    await asyncio.sleep(0.5)
    utterance = voice.say(pcm)
    await utterance.over.wait()
    try:
        heard = await listener.audible(after=utterance.ended, timeout_s=60.0)
    finally:
        await peer.close()
    return utterance.ended, heard.arrived
