"""Made-up calls for these tests, and a look into what was recorded of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from vivavoz.app.observer.ports import CallInfo, CallState, Line
from vivavoz.app.recordings.disk import Disk

START = 1_700_000_000.0


def info(call_id: str = "rtc_1", **members: Any) -> CallInfo:
    given: dict[str, Any] = {
        "upstream": "vivavoz",
        "profile": "default",
        "user": "ana",
        "origin": "token",
        "filtered": "on",
        "browser_reads_session": False,
        "started_at": START,
        "record": True,
    }
    return CallInfo(call_id=call_id, **(given | members))


def state(of: CallInfo, *words: str, ended_at: float = START + 10, **members: Any) -> CallState:
    """A call in which somebody said ``words``, a second each."""
    lines = [
        Line(item_id=f"item_{n}", role="user", kind="message", text=text, at=START + n, until=START + n + 1)
        for n, text in enumerate(words)
    ]
    return CallState(
        id=of.call_id,
        profile=of.profile,
        user=of.user,
        origin=of.origin,
        upstream=of.upstream,
        started_at=of.started_at,
        ended_at=ended_at,
        filtered=of.filtered,
        transcript=lines,
        last_words=words[-1] if words else "",
        status="ended",
        **members,
    )


def tone(samples: int, level: int = 8000, period: int = 50) -> bytes:
    """A square wave; s16le."""
    wave = np.where(np.arange(samples) // (period // 2) % 2 == 0, level, -level)
    return wave.astype("<i2").tobytes()


class FullDisk(Disk):
    """Takes ``room`` bytes, and then nothing until there is more."""

    def __init__(self, room: int = 0) -> None:
        self.room = room

    def write_at(self, file: int, position: int, data: bytes) -> None:
        if len(data) > self.room:
            super().write_at(file, position, data[: self.room])
            self.room = 0
            raise OSError(28, "No space left on device")
        super().write_at(file, position, data)
        self.room -= len(data)


class Kept:
    """A finished recording's file."""

    def __init__(self, content: bytes | Path) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content)
        self.names = set(self._zip.namelist())

    def json(self, name: str) -> Any:
        return msgspec.json.decode(self._zip.read(name))

    @property
    def meta(self) -> Any:
        return self.json("meta.json")

    @property
    def events(self) -> list[Any]:
        return [msgspec.json.decode(line) for line in self._zip.read("events.jsonl").splitlines()]

    def everything(self) -> bytes:
        return b"".join(self._zip.read(name) for name in sorted(self.names))

    def sound(self) -> NDArray[np.int16]:
        """Shape (samples, 2)."""
        (name,) = (name for name in self.names if name.startswith("audio."))
        return decoded(self._zip.read(name))


def decoded(content: bytes) -> NDArray[np.int16]:
    pieces = []
    with av.open(io.BytesIO(content)) as container:
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=24_000)
        for frame in container.decode(audio=0):
            pieces += [piece.to_ndarray().reshape(-1, 2) for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray().reshape(-1, 2) for piece in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.int16)
