"""The two tracks as one stereo file (left the caller, right the assistant), and what it looks like drawn."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import msgspec
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from vivavoz.app.recordings.take import SAMPLE_RATE

Format = Literal["flac", "opus"]

FILES: dict[Format, tuple[str, str, str, str]] = {
    "flac": ("audio.flac", "audio/flac", "flac", "flac"),
    "opus": ("audio.ogg", "audio/ogg", "ogg", "libopus"),
}
"""File, content type, container, codec."""
OPUS_BITS = 32_000
"""Bits a second of both voices."""
MAX_PEAKS = 2000
"""Columns of the drawing, for each voice."""

Pair = NDArray[np.int16]
"""Shape (samples, 2)."""


class Stopped(Exception):
    """The application ends; nothing was finished, and all can be done again."""


class Peaks(msgspec.Struct, kw_only=True):
    """The JSON of BBC's audiowaveform, version 2. ``data``: min, max of the left, min, max of the right, and
    so on, in 8 bits."""

    version: int = 2
    channels: int = 2
    sample_rate: int = SAMPLE_RATE
    samples_per_pixel: int
    bits: int = 8
    length: int
    data: list[int]


def track_samples(path: Path) -> int:
    return path.stat().st_size // 2 if path.exists() else 0


def encode(caller: Path, assistant: Path, target: Path, fmt: Format, stop: threading.Event) -> Peaks:
    """Write ``target`` from raw 24 kHz mono tracks; the shorter ends in silence. Raises OSError, Stopped."""
    total = max(track_samples(caller), track_samples(assistant))
    per_pixel = max(1, -(-total // MAX_PEAKS))
    block = per_pixel * max(1, 2 * SAMPLE_RATE // per_pixel)
    peaks = Peaks(samples_per_pixel=per_pixel, length=-(-total // per_pixel), data=[])
    _, _, container, codec = FILES[fmt]
    with _as_oserror(), av.open(str(target), "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=SAMPLE_RATE)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "stereo"
        if fmt == "opus":
            stream.codec_context.bit_rate = OPUS_BITS
        position = 0
        for pair in _blocks(caller, assistant, total, block):
            if stop.is_set():
                raise Stopped
            peaks.data += _extremes(pair, per_pixel)
            frame = av.AudioFrame.from_ndarray(pair.reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, position
            frame.time_base = Fraction(1, SAMPLE_RATE)
            position += len(pair)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return peaks


@contextlib.contextmanager
def _as_oserror() -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, f"the sound cannot be encoded: {error.strerror}") from None


def _blocks(caller: Path, assistant: Path, total: int, block: int) -> Iterator[Pair]:
    with _reader(caller) as left, _reader(assistant) as right:
        for start in range(0, total, block):
            pair = np.zeros((min(block, total - start), 2), np.int16)
            for channel, file in enumerate((left, right)):
                samples = np.frombuffer(file.read(2 * len(pair)), np.int16)
                pair[: len(samples), channel] = samples
            yield pair


def _reader(path: Path) -> BinaryIO:
    return path.open("rb") if path.exists() else open("/dev/null", "rb")


def _extremes(pair: Pair, per_pixel: int) -> list[int]:
    """Least and greatest of each column and voice, rounded outwards so that no sound is drawn as none."""
    columns = -(-len(pair) // per_pixel)
    padded = np.zeros((columns * per_pixel, 2), np.int16)
    padded[: len(pair)] = pair
    shaped = padded.reshape(columns, per_pixel, 2)
    least, greatest = shaped.min(axis=1), shaped.max(axis=1)
    found = np.stack([least >> 8, -(-greatest.astype(np.int32) >> 8).clip(max=127)], axis=2)
    return [int(value) for value in found.reshape(-1)]
