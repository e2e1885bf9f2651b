"""What a bad network costs in words: sentences spoken over WebRTC to the real recogniser, all of them over a
clean path, and with 5 % of the packets lost and the others up to 30 ms late, so that some are overtaken.

The loss is made in the caller: packets are encoded, and not sent. Callers send in-band FEC, as browsers do
that are told of loss; some do not, to see what concealment alone is worth.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import msgspec
import numpy as np

from bench import rig
from vivavoz.engines.embedded.runtime import require
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice, trimmed
from vivavoz.media.opus import Encoder

LOSS, JITTER_S = 0.05, 0.03
GOAL_POINTS = 2.0
_SILENCE_MS = 500
_STAGGER_S = 0.6
"""Between the callers: one recogniser hears them all."""
_FINAL = "conversation.item.input_audio_transcription.completed"

_SENTENCES = (
    "The old ferry crosses the river every morning before sunrise.",
    "My neighbor keeps two brown goats behind the stone wall.",
    "Please send the blue folder to the office on the corner.",
    "A cold wind blew the loose papers across the empty square.",
    "She bought fresh bread and a jar of honey at the market.",
    "The children built a small boat out of wood and rope.",
    "He forgot his umbrella on the train to the coast.",
    "There is a narrow path that leads down to the beach.",
    "The teacher wrote a long sentence on the green board.",
    "We should water the garden before the sun gets too strong.",
    "A black cat slept on the warm roof of the car.",
    "The doctor asked him to rest for the whole week.",
    "They painted the kitchen yellow and the door dark red.",
    "Could you move my appointment to the following afternoon?",
    "The museum shows old maps and the tools of sailors.",
    "Heavy rain closed the mountain road for the night.",
    "Her brother plays the piano in a small hotel.",
    "I would like a table for the family near the window.",
    "The baker opens his shop while the town is still asleep.",
    "Nobody heard the phone because the music was so loud.",
    "Take the second street on the left after the bridge.",
    "The farmer sold his horses and bought a used tractor.",
    "Put the clean plates on the shelf above the sink.",
    "Our flight was late because of the thick morning fog.",
    "The lamp in the hallway has been broken since winter.",
    "She reads the newspaper with a cup of strong coffee.",
    "A young fox ran across the field and into the forest.",
    "Please remind me to call the bank before lunch.",
    "The river was high and the boats stayed in the harbor.",
    "He cut the apple into pieces and gave them to the bird.",
)


class Path(msgspec.Struct, frozen=True):
    """How a caller's packets travel. ``fec``: what the caller's encoder is told of loss (%)."""

    name: str
    loss: float = 0.0
    jitter_s: float = 0.0
    fec: int = 5
    seed: int = 0


CLEAN, LOSSY, BARE = "clean", "5 % lost, 30 ms jitter", "the same, callers without FEC"
PATHS = (
    Path(CLEAN),
    *(Path(LOSSY, LOSS, JITTER_S, seed=seed) for seed in (1, 2, 3)),
    *(Path(BARE, LOSS, JITTER_S, fec=0, seed=seed) for seed in (4, 5, 6)),
)


def run(*, quick: bool = False) -> dict[str, Any]:
    if missing := rig.embedded_missing():
        raise rig.Skipped(missing)
    sentences = _SENTENCES[:4] if quick else _SENTENCES
    synthesize = require("hibari").Hibari(threads=1)
    spoken = [_pcm(synthesize(sentence)) for sentence in sentences]
    with rig.vivavoz("embedded") as server:
        heard = asyncio.run(_all(server.url, spoken))
    rows: list[list[Any]] = []
    figures: dict[str, Any] = {}
    for name in (CLEAN, LOSSY, BARE):
        of = [texts for path, texts in heard if path.name == name]
        wrong = sum(errors(said, got) for texts in of for said, got in zip(sentences, texts, strict=True))
        words = len(of) * sum(len(_words(sentence)) for sentence in sentences)
        figures[name] = {"words": words, "wrong": wrong, "wer_percent": round(100 * wrong / words, 2)}
        rows.append([name, words, wrong, 100 * wrong / words])
    points = figures[LOSSY]["wer_percent"] - figures[CLEAN]["wer_percent"]
    rig.table("words that the recogniser got wrong", ["path", "words", "wrong", "%"], rows)
    print(f"  lossy against clean: {points:+.2f} points (goal: at most {GOAL_POINTS})")
    figures["points"] = points
    rig.write("loss", figures)
    return figures


def errors(said: str, heard: str) -> int:
    """Words replaced, left out or put in: the edit distance."""
    wanted, got = _words(said), _words(heard)
    row = list(range(len(got) + 1))
    for at, word in enumerate(wanted, 1):
        before, row[0] = row[0], at
        for column, other in enumerate(got, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (word != other)),
            )
    return row[-1]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower().replace("neighbour", "neighbor").replace("harbour", "harbor"))


def _pcm(samples: Any) -> bytes:
    sound = np.asarray(samples, dtype=np.float32)
    return trimmed((sound * (0.6 * 32767 / float(np.abs(sound).max()))).astype("<i2").tobytes())


class _Caller(Peer):
    """Its packets of sound are lost or late."""

    def __init__(self, shared: Peers, path: Path) -> None:
        self.voice = Voice(Encoder(application="voip", bitrate=32_000, loss_percent=path.fec))
        self._path = path
        self._draw = random.Random(path.seed)
        super().__init__(shared, self.voice, Listener())

    def _transmit(self, data: bytes) -> None:
        if data[0] < 128 or not self._path.loss:
            super()._transmit(data)
        elif self._draw.random() >= self._path.loss:
            self._loop.call_later(self._draw.random() * self._path.jitter_s, self._late, data)

    def _late(self, data: bytes) -> None:
        if not self.closed.is_set():
            super()._transmit(data)


async def _all(url: str, spoken: list[bytes]) -> list[tuple[Path, list[str]]]:
    shared = Peers()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_dictate(shared, url, path, spoken, after_s=at * _STAGGER_S))
            for at, path in enumerate(PATHS)
        ]
    return [(path, task.result()) for path, task in zip(PATHS, tasks, strict=True)]


async def _dictate(shared: Peers, url: str, path: Path, spoken: list[bytes], after_s: float) -> list[str]:
    """What is understood of each sentence: all turns that it became."""
    await asyncio.sleep(after_s)
    caller = _Caller(shared, path)
    await caller.connect(lambda offer: rig.post_offer(url, offer))
    detection = {"type": "server_vad", "silence_duration_ms": _SILENCE_MS, "create_response": False}
    listening = {"turn_detection": detection, "transcription": {"model": "whisper-1", "language": "en"}}
    caller.send({"type": "session.update", "session": {"type": "realtime", "audio": {"input": listening}}})
    await caller.wait_for("session.updated")
    # The path's jitter is learnt before anything is said.
    await asyncio.sleep(2.0)
    understood = []
    for pcm in spoken:
        known = len(caller.events)
        utterance = caller.voice.say(pcm)
        await utterance.over.wait()
        await caller.wait_for(_FINAL, after=utterance.ended)
        await asyncio.sleep(0.5)
        told = [event for _, event in caller.events[known:] if event["type"] == _FINAL]
        understood.append(" ".join(event["transcript"] for event in told))
    await caller.close()
    return understood
