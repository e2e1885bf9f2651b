"""Takes what the observer hears and writes it down on a thread of its own, so that no call waits for a disk.

What comes in is in the kernel's hands within ``ROUND_S`` and on the disk within ``SYNC_S`` more: a killed
process loses a quarter of a second, a power cut a second and a quarter, unless the disk itself stalls. A disk
that takes nothing fills a bounded inbox first; then events and sound are lost, counted, and noted as such.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from vivavoz.app.observer.ports import CallInfo, CallState, Gap, Sender, Track
from vivavoz.app.recordings.disk import Disk
from vivavoz.app.recordings.naming import folder_name
from vivavoz.app.recordings.redaction import Redaction
from vivavoz.app.recordings.take import MAX_EVENT, SAMPLE_RATE, End, Take, event_line, note_line

log = logging.getLogger("vivavoz.app.recordings")

ROUND_S = 0.25
SYNC_S = 1.0
STOP_S = 10.0
"""How long the end waits for the disk."""
INBOX_BYTES = 64 * 1024 * 1024
"""What may wait for the disk, of all calls together: half a minute of twenty."""
MAX_REASON = 1000


def reason(error: Exception) -> str:
    """Why something failed, without what was said or is in a file."""
    return error.strerror or str(error) if isinstance(error, OSError) else type(error).__name__


class FileRecorder:
    """The observer's ``Recorder``. All methods but those of the thread belong to the event loop."""

    def __init__(
        self,
        folder: Path,
        *,
        keep_prompts: bool = False,
        sound: bool = True,
        finished: Callable[[str], None] = lambda name: None,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``folder``: of the working folders. ``finished`` hears the name of each that is complete, on the
        writer's thread."""
        self.problem: str | None = None
        """Why nothing is being written at the moment, in words."""
        self._folder = folder
        self._redaction = Redaction(keep_prompts=keep_prompts)
        self._keeps_sound = sound
        self._finished = finished
        self._disk = disk or Disk()
        self._clock = clock
        self._live: dict[str, Take] = {}
        self._names: dict[str, Take | None] = {}
        """Working folders in use, here (a take) or by who packs them."""
        self._lock = threading.Lock()  # of `_writing`
        self._writing: list[Take] = []
        self._received = 0
        self._written = 0
        self._synced_at = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------------------------ the observer's port

    def opened(self, info: CallInfo) -> None:
        if not info.record or info.call_id in self._live:
            return
        take = Take(self._folder / self._free_name(info.call_id), info)
        self._live[info.call_id] = self._names[take.folder.name] = take
        with self._lock:
            self._writing.append(take)
        self._wake.set()

    def event(self, call_id: str, at: float, sender: Sender, event: bytes) -> None:
        take = self._live.get(call_id)
        if take is None:
            return
        if len(event) > MAX_EVENT or not self._has_room(len(event)):
            take.lost.events += 1
            return
        self._count(take, lambda: take.event(event_line(at, sender, self._redaction(event))))

    def audio(self, call_id: str, track: Track, position: int, pcm: bytes) -> None:
        take = self._live.get(call_id)
        if take is None or not self._keeps_sound:
            return
        if not self._has_room(len(pcm)):
            take.lost.sound_ms += len(pcm) // 2 * 1000 // SAMPLE_RATE
            return
        self._count(take, lambda: take.sound(track, position, pcm))

    def gap(self, call_id: str, since: float, until: float, reason: str) -> None:
        take = self._live.get(call_id)
        if take is not None:
            gap = Gap(since=since, until=until, reason=reason[:MAX_REASON])
            self._count(take, lambda: take.event(note_line(until, "gap", gap)))

    def closed(self, call_id: str, at: float, reason: str, state: CallState) -> None:
        take = self._live.pop(call_id, None)
        if take is not None:
            reason = reason[:MAX_REASON]
            self._count(take, lambda: take.event(note_line(at, "end", {"reason": reason})))
            take.ending = End(at=at, reason=reason, state=msgspec.structs.replace(state, session=None))

    # ------------------------------------------------------------------------------------ for the archive

    @property
    def recording(self) -> int:
        """Calls that are being recorded now."""
        return len(self._live)

    def is_busy(self, name: str) -> bool:
        """Whether a recording of that name is being made."""
        return folder_name(name) in self._names or name in self._names

    def claim(self, name: str) -> bool:
        """Reserve a working folder that nobody writes, to pack it. False: it is in use."""
        if name in self._names:
            return False
        self._names[name] = None
        return True

    def release(self, name: str) -> None:
        """The folder is gone, or may be continued."""
        self._names.pop(name, None)

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what came in and let go of the folders; blocks for ``STOP_S`` at most. Calls that are still
        recorded can be continued by the next process."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None

    # ------------------------------------------------------------------------------------ the writer's thread

    def round(self, now: float) -> None:
        """Write what has come in; ``now``: seconds on the clock of ``SYNC_S``."""
        with self._lock:
            takes = list(self._writing)
        due = now - self._synced_at >= SYNC_S
        trouble: Exception | None = None
        for take in takes:
            try:
                self._serve(take, due)
            except Exception as error:  # whatever is wrong with one call, the others are recorded
                trouble = error
        if due:
            self._synced_at = now
        self._tell(trouble)

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_S):
            self._wake.wait()
            self.round(time.monotonic())
            with self._lock:
                if not self._writing:
                    self._wake.clear()
        self._synced_at = float("-inf")
        self.round(time.monotonic())
        for take in self._writing:
            take.release(self._disk)

    def _serve(self, take: Take, sync: bool) -> None:
        ending = take.ending  # before the inbox is emptied: nothing comes after it
        before = take.written
        try:
            take.write(self._disk, self._clock())
        finally:
            self._written += take.written - before
        if ending is not None and take.empty:
            take.finish(self._disk)
            with self._lock:
                self._writing.remove(take)
            self._finished(take.folder.name)
        elif sync:
            take.sync(self._disk)

    def _tell(self, trouble: Exception | None) -> None:
        """Keep the problem visible, and log it once."""
        problem = f"recordings cannot be written: {reason(trouble)}" if trouble else None
        if problem != self.problem:
            if problem:
                log.error("%s; calls go on", problem)
            else:
                log.info("recordings are written again")
            self.problem = problem

    # ------------------------------------------------------------------------------------ small things

    def _has_room(self, size: int) -> bool:
        return self._received - self._written + size <= INBOX_BYTES

    def _count(self, take: Take, put: Callable[[], None]) -> None:
        before = take.received
        put()
        self._received += take.received - before

    def _free_name(self, call_id: str) -> str:
        base = name = folder_name(call_id)
        number = 1
        while name in self._names:
            number += 1
            name = f"{base}.{number}"
        return name
