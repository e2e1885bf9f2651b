"""One call's working folder while the call lives.

    info.json       who and when (written once)
    events.jsonl    a line each: {"at", and one of: "sender" and "event"; "gap"; "lost"; "resumed"; "end"}
    caller.pcm      24 kHz s16le mono; sample n of the call is sample n of the file
    assistant.pcm   the same, as heard
    end.json        the call's final state, when it has one

Sound is written where it belongs, so order does not matter, what never came is a hole (zeros, and no blocks
on the disk), and of two pieces for one place the later counts. A folder without its end is still whole: an
unfinished line at the end of the events is cut off when it is read or continued.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import deque
from pathlib import Path
from typing import Literal

import msgspec

from vivavoz.app.observer.ports import CallInfo, CallState, Track
from vivavoz.app.recordings.disk import Disk

SAMPLE_RATE = 24_000
MAX_SAMPLES = SAMPLE_RATE * 3600 * 6
"""What lies beyond is no sound of a call (longest track: 6 h)."""
MAX_EVENT = 1024 * 1024
"""Bytes of one event; events are recorded without their sound."""


class Info(msgspec.Struct, kw_only=True):
    """``info.json``. ``take`` tells recordings of the same call apart."""

    take: str
    call: CallInfo


class End(msgspec.Struct, kw_only=True):
    """``end.json``; the state's ``session`` is never in it."""

    at: float
    reason: str
    state: CallState


class Lost(msgspec.Struct, kw_only=True):
    """What could not be written, because the disk did not take it."""

    events: int = 0
    sound_ms: int = 0


class Take:
    """The loop's side fills the inbox (``event``, ``sound``, ``ending``), the writer's thread empties it
    (``write``, ``sync``, ``finish``, ``release``). They share the deques, whose ends are safe, and counters
    that one side alone changes."""

    def __init__(self, folder: Path, info: CallInfo) -> None:
        """Touches nothing yet."""
        self.folder = folder
        self.info = info
        self.received = 0
        """Bytes that came in; the loop's."""
        self.written = 0
        """Bytes that were written, or will never be; the writer's."""
        self.ending: End | None = None
        self.lost = Lost()
        self._reported = Lost()
        self._lines: deque[bytes] = deque()
        self._sound: deque[tuple[Track, int, bytes]] = deque()
        self._held: int | None = None
        self._events = -1
        self._events_size = 0
        self._tracks: dict[Track, int] = {}
        self._dirty: set[int] = set()

    # -------------------------------------------------------------------------------------- the loop's side

    def event(self, line: bytes) -> None:
        """``line``: ends with a newline."""
        self.received += len(line)
        self._lines.append(line)

    def sound(self, track: Track, position: int, pcm: bytes) -> None:
        if position < 0:
            pcm, position = pcm[-2 * position :], 0
        pcm = pcm[: min(len(pcm) & ~1, 2 * max(0, MAX_SAMPLES - position))]
        if pcm:
            self.received += len(pcm)
            self._sound.append((track, position, pcm))

    # -------------------------------------------------------------------------------------- the writer's side

    @property
    def empty(self) -> bool:
        return not self._lines and not self._sound and self._reported == self.lost

    def write(self, disk: Disk, now: float) -> None:
        """Everything that came in so far. Raises OSError; what was not written stays, and is tried again."""
        if self._held is None:
            self._open(disk, now)
        if self._reported != self.lost:
            self._report_loss(disk, now)
        self._write_lines(disk)
        while self._sound:
            track, position, pcm = run = self._next_sound()
            try:
                disk.write_at(self._track(disk, track), 2 * position, pcm)
            except OSError:
                self._sound.appendleft(run)
                raise
            self.written += len(pcm)

    def sync(self, disk: Disk) -> None:
        while self._dirty:
            file = self._dirty.pop()
            try:
                disk.sync(file)
            except OSError:
                self._dirty.add(file)
                raise

    def finish(self, disk: Disk) -> None:
        """Put the end after everything else, once. Raises OSError, and may be tried again."""
        assert self.ending is not None
        end = self.ending
        self.sync(disk)
        disk.replace(self.folder / "end.json", msgspec.json.encode(end))
        self.release(disk)

    def release(self, disk: Disk) -> None:
        """Let go of the files, as they are."""
        files = [*self._tracks.values(), self._events] if self._held is not None else []
        held, self._held = self._held, None
        self._tracks.clear()
        self._dirty.clear()
        for file in [*files, *([held] if held is not None else [])]:
            with contextlib.suppress(OSError):
                disk.close(file)

    def _open(self, disk: Disk, now: float) -> None:
        held = disk.folder(self.folder)
        try:
            known = (self.folder / "info.json").exists()
            if not known:
                info = Info(take=secrets.token_hex(16), call=self.info)
                disk.replace(self.folder / "info.json", msgspec.json.encode(info))
            self._events = disk.open(self.folder / "events.jsonl")
            try:
                self._events_size = whole_lines(self.folder / "events.jsonl")
                disk.truncate(self._events, self._events_size)
                if known:
                    self._append(disk, note_line(now, "resumed", {}))
            except OSError:
                disk.close(self._events)
                raise
        except OSError:
            disk.close(held)
            raise
        self._held = held

    def _track(self, disk: Disk, track: Track) -> int:
        if track not in self._tracks:
            self._tracks[track] = disk.open(self.folder / f"{track}.pcm")
        self._dirty.add(self._tracks[track])
        return self._tracks[track]

    def _next_sound(self) -> tuple[Track, int, bytes]:
        """The next piece, with those that continue it: they are written at once."""
        track, position, pcm = self._sound.popleft()
        pieces, end = [pcm], position + len(pcm) // 2
        while self._sound and self._sound[0][:2] == (track, end):
            pieces.append(self._sound.popleft()[2])
            end += len(pieces[-1]) // 2
        return track, position, b"".join(pieces)

    def _write_lines(self, disk: Disk) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        data = b"".join(lines)
        try:
            self._append(disk, data)
        except OSError:
            self._lines.extendleft(reversed(lines))
            raise
        self.written += len(data)

    def _append(self, disk: Disk, data: bytes) -> None:
        try:
            disk.write_at(self._events, self._events_size, data)
        except OSError:
            # Half a line would spoil the next one.
            with contextlib.suppress(OSError):
                disk.truncate(self._events, self._events_size)
            raise
        self._events_size += len(data)
        self._dirty.add(self._events)

    def _report_loss(self, disk: Disk, now: float) -> None:
        total = msgspec.structs.replace(self.lost)
        since = Lost(
            events=total.events - self._reported.events, sound_ms=total.sound_ms - self._reported.sound_ms
        )
        self._append(disk, note_line(now, "lost", since))
        self._reported = total


def event_line(at: float, sender: str, event: bytes) -> bytes:
    """``event``: JSON without a newline."""
    return b'{"at":%.3f,"sender":"%b","event":%b}\n' % (at, sender.encode(), event)


def note_line(at: float, kind: Literal["gap", "lost", "resumed", "end"], value: object) -> bytes:
    return b'{"at":%.3f,"%b":%b}\n' % (at, kind.encode(), msgspec.json.encode(value))


def whole_lines(path: Path) -> int:
    """Bytes up to the last complete line."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end > 0:
            begin = max(0, end - 65536)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0
