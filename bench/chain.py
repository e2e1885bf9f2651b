"""The yardstick: the embedded models called one after the other, with nothing around them.

A process of its own (``python -m bench.chain``). Each line of its input names a file of 24 kHz PCM, a
question with nothing behind it; each line of its output says what every stage took. The libraries are called
as their manuals show, with the threads and the priority that the service gives them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.rig import EMBEDDED_INSTRUCTIONS
from vivavoz.engines.embedded.clauses import Clauses
from vivavoz.engines.embedded.downsample import Downsampler
from vivavoz.engines.embedded.plan import EmbeddedOptions, plan
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.embedded.silero import FRAME, Silero, SileroState
from vivavoz.models import Store

_RATE = 16_000
_SILENCE_MS = 1000
_SPEECH = 0.35


class Chain:
    """Voice activity, recognition, language model, voice."""

    def __init__(self) -> None:
        hibari, moonshine, xllamacpp = map(require, ("hibari", "moonshine_voice", "xllamacpp"))
        planned = plan(EmbeddedOptions(), Store())
        paths = {task: stage.spec.options for task, stage in planned.items() if stage.spec is not None}
        assert planned["vad"].path is not None
        self._vad = Silero(planned["vad"].path)
        self._stt = moonshine.Transcriber(
            model_path=paths["stt"]["model"],
            model_arch=moonshine.ModelArch.TINY,
            options={"vad_threshold": "0.0"},
        )
        parameters = xllamacpp.CommonParams()
        parameters.model.path = paths["llm"]["model"]
        parameters.n_ctx = paths["llm"]["context"]
        parameters.n_parallel = 1
        parameters.verbosity = -1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = paths["llm"]["threads"]
        self._llm = xllamacpp.Server(parameters)
        self._tts = hibari.Hibari(model=paths["tts"]["model"], threads=1)
        self._tts("Hello, I am ready.")
        self._stt.transcribe_without_streaming([0.0] * _RATE, _RATE)

    def answer(self, pcm: bytes, silence_ms: int) -> dict[str, float]:
        """ms of each stage; ``total`` from the question's last sample to the answer's first."""
        downsampler = Downsampler()
        spoken = downsampler.feed(pcm + bytes(_SILENCE_MS * 48))
        stop_ms = self._stop_ms(spoken, len(pcm) / 48, silence_ms)
        marks = [time.perf_counter()]
        question = spoken[: int((len(pcm) / 48 + silence_ms) * _RATE / 1000)]
        lines = self._stt.transcribe_without_streaming(question.tolist(), _RATE).lines
        text = " ".join(line.text for line in lines)
        marks.append(time.perf_counter())
        clause = self._first_clause(text)
        marks.append(time.perf_counter())
        self._tts(clause)
        marks.append(time.perf_counter())
        stt, llm, tts = (1000 * (b - a) for a, b in pairwise(marks))
        return {"vad": stop_ms, "stt": stt, "llm": llm, "tts": tts, "total": stop_ms + stt + llm + tts}

    def _stop_ms(self, samples: Any, speech_ms: float, silence_ms: int) -> float:
        """How long after the last sample the turn is over: the window, and the model's own hang-over."""
        state, voiced = SileroState(), 0.0
        for n in range(len(samples) // FRAME):
            end_ms = (n + 1) * FRAME / _RATE * 1000
            if self._vad.score([state], [samples[n * FRAME : (n + 1) * FRAME]])[0] >= _SPEECH:
                voiced = end_ms
            elif voiced and end_ms > speech_ms and end_ms - voiced >= silence_ms:
                return end_ms - speech_ms
        return float(silence_ms)

    def _first_clause(self, question: str) -> str:
        clauses, first = Clauses(), ""

        def take(chunk: Any) -> bool:
            nonlocal first
            for choice in (chunk if isinstance(chunk, dict) else json.loads(chunk)).get("choices", ()):
                done = clauses.feed((choice.get("delta") or {}).get("content") or "")
                first = first or (done[0] if done else "")
            return bool(first)

        messages = [
            {"role": "system", "content": EMBEDDED_INSTRUCTIONS},
            {"role": "user", "content": question},
        ]
        request = {"messages": messages, "max_tokens": 320, "temperature": 0.3, "stream": True}
        self._llm.handle_chat_completions(request, take)
        return first or "".join(clauses.flush())


def main() -> None:
    os.nice(EmbeddedOptions().nice)
    chain = Chain()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(chain.answer(Path(request["pcm"]).read_bytes(), request["silence_ms"])), flush=True)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
