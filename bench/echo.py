"""Interruptions by our own echo, with and without :class:`EchoGuard`, and what telling costs a
caller who speaks.
Synthetic: voices through echo paths and Opus, no network and no browser."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import rig
from vivavoz.call.echo import EchoGuard
from vivavoz.engines.embedded.silero import SileroVad
from vivavoz.engines.energy_vad import EnergyVad
from vivavoz.engines.ports import Vad
from vivavoz.engines.scripted.voice import say
from vivavoz.media.opus import Decoder, Encoder
from vivavoz.models.store import Store
from vivavoz.session.turn import Heard, Turn
from vivavoz.wire.options import ServerVad

RATE = 24_000
FRAME = 480
Sound = NDArray[np.float64]

OURS = (
    "Of course, I can help you with that. The next train to the coast leaves at ten past nine.",
    "Let me look it up. Your order was sent on Monday, and it should be with you by the end of this week.",
    "It is a small town by a river, known for its market, its old bridge, and a lot of rain in spring.",
)
THEIRS = ("Wait, that is not what I meant.", "No no, stop, please.", "Sorry, which platform was it again?")


class Path(msgspec.Struct, frozen=True):
    """From our loudspeaker to the microphone. ``tail_db``: reverberation against the direct sound."""

    delay_ms: float
    gain_db: float
    low_hz: float
    high_hz: float
    tail_db: float
    reverb_ms: float
    drive: float
    noise_db: float


def paths(count: int, seed: int) -> list[Path]:
    draw = np.random.default_rng(seed).uniform
    return [
        Path(
            delay_ms=draw(40, 300),
            gain_db=draw(-30, -6),
            low_hz=draw(80, 350),
            high_hz=draw(3_000, 9_000),
            tail_db=draw(-15, -3),
            reverb_ms=draw(100, 350),
            drive=draw(0, 1.5),
            noise_db=draw(-75, -55),
        )
        for _ in range(count)
    ]


def through(sound: Sound, path: Path, rng: np.random.Generator) -> Sound:
    """What the microphone gets of ``sound`` (full scale 1), without the noise."""
    if path.drive:
        sound = np.tanh(path.drive * sound) / path.drive
    length = int(RATE * (path.delay_ms + path.reverb_ms * 1.5) / 1000)
    delay = int(RATE * path.delay_ms / 1000)
    response = np.zeros(length)
    tail = length - delay
    decay = rng.normal(size=tail) * 10 ** (-3 * np.arange(tail) / RATE / (path.reverb_ms / 1000))
    decay[: RATE // 500] = 0
    response[delay:] = decay / np.sqrt((decay**2).sum()) * 10 ** (path.tail_db / 20)
    response[delay] += 1
    size = len(sound) + length
    hz = np.fft.rfftfreq(size, 1 / RATE)
    band = 1 / np.sqrt(1 + (path.low_hz / np.maximum(hz, 1)) ** 4) / np.sqrt(1 + (hz / path.high_hz) ** 8)
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(response, size) * band
    return np.fft.irfft(spectrum, size)[: len(sound)] * 10 ** (path.gain_db / 20)


def coded(sound: Sound, bitrate: int, application: Any) -> Sound:
    """Through Opus, frame by frame, its delay included."""
    encoder, decoder = Encoder(application=application, bitrate=bitrate), Decoder()
    pcm = (np.clip(sound, -1, 1) * 32_767).astype("<i2")
    out = [decoder.decode(encoder.encode(frame.tobytes())) for frame in frames(pcm)]
    return np.frombuffer(b"".join(out), dtype="<i2") / 32_768


def frames(pcm: NDArray[Any]) -> NDArray[Any]:
    return pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME)


class Voices:
    """Sentences, each normalised to -20 dBFS."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "embedded":
            try:
                import hibari  # type: ignore[import-untyped]
            except ImportError:
                raise rig.Skipped("the embedded voice is not installed") from None
            self._tts = hibari.Hibari(threads=1)

    def speak(self, text: str, ours: bool) -> Sound:
        if self.kind == "scripted":
            pcm = b"".join(say(word + " ", "coral" if ours else "onyx", 1.0) for word in text.split())
            sound = np.frombuffer(pcm, dtype="<i2") / 32_768
        else:
            sound = np.asarray(self._tts(text), dtype=float)
            if not ours:  # somebody else, an octave's third lower
                at = np.arange(0, len(sound) - 1, 0.8)
                sound = np.interp(at, np.arange(len(sound)), sound)
        return sound * 0.1 / np.sqrt((sound**2).mean())


def run(*, quick: bool = False) -> dict[str, Any]:
    count = 3 if quick else 36
    found = {"scripted": asyncio.run(_measured(Voices("scripted"), EnergyVad(), count))}
    if missing := rig.embedded_missing():
        print(f"  embedded voice: skipped, {missing}")
    else:
        found["embedded"] = asyncio.run(_with_silero(Voices("embedded"), count))
    figures = {}
    for kind, each in found.items():
        rig.table(
            f"{kind} voices, {each.minutes:.1f} minutes of our voice through {count} echo paths",
            ["", "turns that nobody spoke"],
            [["unguarded", each.unguarded], ["guarded", each.guarded]],
        )
        rows = [
            [
                case,
                len(late),
                *(round(rig.percentile(late, share)) for share in (50, 90, 95)),
                each.missed[case],
            ]
            for case, late in each.later.items()
        ]
        rig.table("a caller interrupts", ["", "times", "p50 later (ms)", "p90", "p95", "missed"], rows)
        judged = [took for took in each.took if took > 20]
        rig.table("a judgement (us)", ["p50", "p95"], [[rig.percentile(judged, share) for share in (50, 95)]])
        figures[kind] = {
            "minutes": round(each.minutes, 2),
            "unguarded": each.unguarded,
            "guarded": each.guarded,
            "later_ms": {case: rig.summary(late) for case, late in each.later.items()},
            "missed": each.missed,
            "us": rig.summary(judged),
        }
    rig.write("echo", figures)
    return figures


class Microphone(msgspec.Struct):
    """What is heard while we say ``far``. ``spoke_at``: when somebody began to talk as well (s)."""

    far: Sound
    mic: Sound
    spoke_at: float | None = None


async def onsets(heard: Microphone, vad: Vad, guard: EchoGuard | None, took: list[float]) -> list[float]:
    """When turns began (s); for each judgement, how long it took (us)."""
    stream, turn, rule = vad.open(), Turn.listening(0), ServerVad(silence_duration_ms=200)
    rng = np.random.default_rng(7)
    found = []
    sent = frames(pcm16(heard.far))
    for n, frame in enumerate(frames(pcm16(heard.mic))):
        now = 100 + 0.02 * (n + 1)
        arrived = now + rng.uniform(0, 0.01)
        if guard is not None:
            guard.played(sent[n].tobytes(), now + rng.uniform(0, 0.004))
            guard.heard(frame.tobytes(), arrived)
        for score in await stream.score(frame.tobytes()):
            probability, began = score.probability, perf_counter()
            if guard is not None:
                probability = guard.judge(probability, arrived, (n + 1) * FRAME - score.end_sample)
                took.append((perf_counter() - began) * 1e6)
            match turn.hear(score.end_sample, probability, rule):
                case Heard.STARTED:
                    found.append(score.end_sample / RATE)
                case Heard.STOPPED:
                    turn.end(score.end_sample)
    return found


def pcm16(sound: Sound) -> NDArray[np.int16]:
    return (np.clip(sound, -1, 1) * 32_767).astype(np.int16)


class Figures(msgspec.Struct):
    minutes: float = 0.0
    unguarded: int = 0
    guarded: int = 0
    later: dict[str, list[float]] = {}
    """By case: how much later than without guard and echo a caller's turn began (ms)."""
    missed: dict[str, int] = {}
    """By case: of those, how many began more than half a second later, or never."""
    took: list[float] = []


CASES: dict[str, float | None] = {
    "no echo": None,
    "as loud as the echo": 0,
    "6 dB louder": 6,
    "12 dB louder": 12,
}


async def _measured(voices: Voices, vad: Vad, count: int) -> Figures:
    figures, rng = Figures(), np.random.default_rng(3)
    ours = [voices.speak(text, True) for text in OURS]
    theirs = [voices.speak(text, False) for text in THEIRS]
    for n, path in enumerate(paths(count, 11)):
        far = 2 * np.concatenate((ours[n % len(ours)], np.zeros(RATE // 2)))
        far = far[: len(far) // FRAME * FRAME]
        echo = through(coded(far, 48_000, "lowdelay"), path, rng)
        noise = rng.normal(size=len(far)) * 10 ** (path.noise_db / 20)
        alone = Microphone(far, coded(echo + noise, 32_000, "voip"))
        figures.minutes += len(far) / RATE / 60
        figures.unguarded += len(await onsets(alone, vad, None, []))
        figures.guarded += len(await onsets(alone, vad, EchoGuard(), figures.took))
        at = int(RATE * rng.uniform(1, 3))
        for case, level in CASES.items():
            near = np.zeros(len(far))
            said = theirs[n % len(theirs)][: len(far) - at]
            near[at : at + len(said)] = said
            if level is not None:
                near *= 10 ** (level / 20) * np.sqrt((echo**2).mean()) / 0.1
            clean = Microphone(far, coded(near + noise, 32_000, "voip"))
            both = clean if level is None else Microphone(far, coded(near + echo + noise, 32_000, "voip"))
            due = [onset for onset in await onsets(clean, vad, None, []) if onset > at / RATE]
            if not due:
                continue  # too soft for the detector itself
            got = [onset for onset in await onsets(both, vad, EchoGuard(), figures.took) if onset > at / RATE]
            later = (got[0] - due[0]) * 1000 if got else 1e9
            figures.missed[case] = figures.missed.get(case, 0) + (later > 500)
            figures.later.setdefault(case, []).append(min(later, 500))
    return figures


async def _with_silero(voices: Voices, count: int) -> Figures:
    vad = SileroVad(Store().locate("silero-vad").path())
    await vad.start()
    try:
        return await _measured(voices, vad, count)
    finally:
        await vad.stop()
