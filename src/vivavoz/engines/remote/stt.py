"""Recognition behind ``/audio/transcriptions``: one upload an utterance."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

from vivavoz.engines.energy_vad import SpeechMeter
from vivavoz.engines.ports import SAMPLE_RATE, SttOptions, Transcript
from vivavoz.engines.remote.client import Endpoint
from vivavoz.engines.spec import RemoteStage
from vivavoz.wire.transcription import LogProb

LEAST_SPEECH_MS = 100
"""Utterances with less sound than this are not sent: models invent words for silence."""
LONGEST_BYTES = 24 * 1024 * 1024
"""Of an utterance; servers take 25 MB (8 min 44 s at 24 kHz)."""
DOUBTFUL_MS = 250
"""Below so much sound, the words in :data:`INVENTED` are taken for what the model makes of noise."""
INVENTED = frozenset({"you", "bye", "so", "thank you", "thanks", "the end", "obrigado"})
ALWAYS_INVENTED = (
    "thanks for watching",
    "thank you for watching",
    "amara.org",
    "subtitles by",
    "legendas pela",
)
"""Nobody says these to a machine; they come from the subtitles that such models learned from."""


class RemoteStt:
    """Uploads the utterance as WAV when the turn ends; language and prompt go with it."""

    def __init__(self, stage: RemoteStage) -> None:
        self._endpoint = Endpoint(stage, "speech recognition")
        self.gives_logprobs = stage.logprobs

    async def close(self) -> None:
        await self._endpoint.close()

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        meter = SpeechMeter()
        pcm = bytearray()
        async for piece in audio:
            meter.feed(piece)
            pcm += piece
            if len(pcm) > LONGEST_BYTES:
                raise self._endpoint.error("takes no utterance of that length", "engine_bad_request")
        if meter.voiced_ms < LEAST_SPEECH_MS:
            yield Transcript("", final=True)
            return
        heard = await self._upload(bytes(pcm), options)
        yield Transcript("", final=True) if _is_invented(heard.text, meter.voiced_ms) else heard

    async def _upload(self, pcm: bytes, options: SttOptions) -> Transcript:
        endpoint = self._endpoint
        request: dict[str, Any] = {"response_format": "json", "extra_headers": endpoint.headers}
        if options.language:
            request["language"] = options.language
        if options.prompt:
            request["prompt"] = options.prompt
        if options.logprobs:
            request["include"] = ["logprobs"]
        with endpoint.failures():
            async with asyncio.timeout(endpoint.timeout):
                answer: Any = await endpoint.client.audio.transcriptions.create(
                    file=("speech.wav", to_wav(pcm), "audio/wav"), model=endpoint.model, **request
                )
        text = answer if isinstance(answer, str) else getattr(answer, "text", None)
        if not isinstance(text, str):
            raise endpoint.not_an_answer()
        return Transcript(text.strip(), final=True, logprobs=_logprobs(answer) if options.logprobs else None)


def to_wav(pcm: bytes) -> bytes:
    """PCM (mono s16le 24 kHz) as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(pcm)
    return file.getvalue()


def _logprobs(answer: Any) -> list[LogProb] | None:
    """As the endpoint gives them; None where it gives none, or something else."""
    given = getattr(answer, "logprobs", None)
    if not isinstance(given, list):
        return None
    found = []
    for each in given:
        token, logprob = getattr(each, "token", None), getattr(each, "logprob", None)
        if not isinstance(token, str) or not isinstance(logprob, int | float):
            return None
        raw = getattr(each, "bytes", None)
        if isinstance(raw, list) and all(isinstance(byte, int | float) for byte in raw):
            found.append(LogProb(token=token, logprob=float(logprob), bytes=[int(byte) for byte in raw]))
        else:
            found.append(LogProb.of(token, float(logprob)))
    return found


def _is_invented(text: str, voiced_ms: float) -> bool:
    plain = text.lower().strip(" .!?,…\"'")
    if not plain or any(phrase in plain for phrase in ALWAYS_INVENTED):
        return True
    return voiced_ms < DOUBTFUL_MS and plain in INVENTED
