"""From a call's end to the end of its recording: packing, keeping, finding, deleting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from vivavoz.app.database.database import Database
from vivavoz.app.database.tables import Recording
from vivavoz.app.observer.ports import CallStore
from vivavoz.app.recordings import container
from vivavoz.app.recordings.catalogue import MAX_WORDS, Catalogue, folded
from vivavoz.app.recordings.config import Recordings
from vivavoz.app.recordings.disk import Disk, make_private
from vivavoz.app.recordings.folders import Unfinished, unfinished
from vivavoz.app.recordings.naming import folder_name, kept_as
from vivavoz.app.recordings.packing import Packed, pack, read_info
from vivavoz.app.recordings.recorder import FileRecorder, reason
from vivavoz.app.recordings.sound import Stopped
from vivavoz.app.recordings.storage import storage_at

T = TypeVar("T")

log = logging.getLogger("vivavoz.app.recordings")
audit = logging.getLogger("vivavoz.app.audit")

RETRY_S, MAX_RETRY_S = 30.0, 900.0
"""Until a recording that could not be packed or kept is tried again: the first time, and at most."""
LOOK_S = 30.0
"""Between looks for working folders that nobody writes."""
TIDY_S = 600.0
"""Between looks for recordings that have been kept long enough."""
GIVE_UP_S = 900.0
"""How long after the start an unfinished recording waits for its call to be observed again."""
BATCH = 50
NICENESS = 15


class Archive:
    """``run`` owns everything that goes on, and may be run again when it has ended; ``recorder`` can be used
    all the time."""

    def __init__(
        self,
        config: Recordings,
        *,
        state_dir: Path,
        database: Database,
        calls: CallStore,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
    ) -> None:
        """``calls`` says which calls may still go on. Raises ValueError where ``folder`` cannot be used."""
        self.config = config
        self.catalogue = Catalogue(database)
        self.storage = storage_at(config.folder, state_dir / "recordings" / "kept")
        self.work = state_dir / "recordings" / "work"
        self._calls = calls
        self._clock = clock
        self._disk = disk or Disk()
        self.recorder = FileRecorder(
            self.work,
            keep_prompts=config.keep_prompts,
            sound=config.audio != "off",
            finished=self._finished,
            disk=self._disk,
            clock=clock,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Queue[str] = asyncio.Queue()  # one entry for each working folder at most
        self._started_at = clock()
        self._problems: dict[str, str] = {}
        self._packing = 0
        self._pauses: dict[str, float] = {}
        """Of recordings that failed: how long they waited last."""
        self._stop = threading.Event()
        self._packer: ThreadPoolExecutor | None = None

    @property
    def problem(self) -> str | None:
        """What keeps recordings from being written, kept or deleted at the moment."""
        return "; ".join(filter(None, [self.recorder.problem, *self._problems.values()])) or None

    @property
    def packing(self) -> int:
        """Recordings of ended calls that are not finished yet."""
        return self._ready.qsize() + self._packing

    async def run(self) -> None:
        """Until it is cancelled; what goes on then is continued by the next process."""
        self._loop = asyncio.get_running_loop()
        self._stop.clear()
        self._packer = packer = ThreadPoolExecutor(1, "packer", initializer=_yield_to_others)
        with contextlib.suppress(OSError):  # the recorder will say what is wrong with it
            await asyncio.to_thread(make_private, self.work)
        self.recorder.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pack_all())
                tasks.create_task(self._again(LOOK_S, self.look))
                tasks.create_task(self._again(TIDY_S, self.tidy))
        finally:
            self._stop.set()
            await asyncio.to_thread(self.recorder.stop)
            await asyncio.to_thread(packer.shutdown)

    # ------------------------------------------------------------------------------------ packing

    async def look(self) -> None:
        """Take up working folders that nobody writes: ended ones, and those of calls that will not go on."""
        try:
            found = await asyncio.to_thread(unfinished, self.work)
            live = {seen.info.call_id for seen in await self._calls.live()} if found else set()
        except OSError as error:
            self._note("looking", f"unfinished recordings cannot be looked for: {reason(error)}")
            return
        self._note("looking", None)
        waiting = self._clock() - self._started_at < GIVE_UP_S
        for folder in found:
            if not self._may_continue(folder, live, waiting) and self.recorder.claim(folder.name):
                self._ready.put_nowait(folder.name)

    def _may_continue(self, folder: Unfinished, live: set[str], waiting: bool) -> bool:
        return not folder.ended and folder.call_id in live and waiting

    async def _pack_all(self) -> None:
        while True:
            name = await self._ready.get()
            self._packing = 1
            try:
                await self._pack(name)
                self.recorder.release(name)
                self._note(name, None)
                self._pauses.pop(name, None)
            except BlockingIOError:
                self.recorder.release(name)  # another process has it
            except (asyncio.CancelledError, Stopped):
                self.recorder.release(name)  # for the next run
                raise
            except Exception as error:  # whatever is wrong with one folder, the others go on
                self._note(name, f"recording {name} cannot be finished: {reason(error)}")
                self._pauses[name] = pause = min(2 * self._pauses.get(name, RETRY_S / 2), MAX_RETRY_S)
                asyncio.get_running_loop().call_later(pause, self._ready.put_nowait, name)
            finally:
                self._packing = 0

    async def _pack(self, name: str) -> None:
        folder = self.work / name
        if not await self._slowly(folder.exists):
            return  # somebody has removed it
        held = await self._slowly(self._disk.folder, folder)
        try:
            info = await self._slowly(read_info, folder)
            call = info.call
            title = await self.catalogue.name_for(call.call_id, info.take, folder_name(call.call_id))
            packed = await self._slowly(self._make, folder, title)
            file = kept_as(title, call.started_at)
            await self._slowly(self.storage.put, file, packed.path)
            await self.catalogue.add(_row(packed, file))
            await self._slowly(shutil.rmtree, folder)
        finally:
            assert self._packer is not None
            self._packer.submit(self._disk.close, held)  # after what the thread may still be doing
        log.info("recording %s is kept: %d bytes", title, packed.size)
        await self.tidy()

    def _make(self, folder: Path, title: str) -> Packed:
        audio = "flac" if self.config.audio == "off" else self.config.audio
        return pack(folder, title, audio=audio, notice=self.config.notice, stop=self._stop)

    async def _slowly(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._packer, work, *arguments)

    def _finished(self, name: str) -> None:
        """On the writer's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ready.put_nowait, name)

    # ------------------------------------------------------------------------------------ retention, deletion

    async def tidy(self) -> None:
        """Delete what is older than configured, and the oldest of what is more than configured."""
        try:
            if self.config.retention_days:
                before = self._clock() - self.config.retention_days * 86400.0
                while old := await self.catalogue.oldest(BATCH, ended_before=before):
                    for recording in old:
                        await self.delete(recording, "retention: too old")
            if self.config.retention_bytes:
                await self._make_room(self.config.retention_bytes)
        except OSError as error:
            self._note("retention", f"old recordings cannot be deleted: {reason(error)}")
        else:
            self._note("retention", None)

    async def _make_room(self, limit: int) -> None:
        excess = (await self.catalogue.totals()).bytes - limit
        while excess > 0 and (oldest := await self.catalogue.oldest(BATCH)):
            for recording in oldest:
                if excess > 0:
                    await self.delete(recording, "retention: too much")
                    excess -= recording.bytes

    async def delete(self, recording: Recording, by: str) -> None:
        """File first, then row: what fails in between is seen, and can be done again. Raises OSError."""
        await asyncio.to_thread(self.storage.delete, recording.file)
        await self.catalogue.remove(recording.id)
        audit.info("recording %s deleted (%s)", recording.id, by)

    # ------------------------------------------------------------------------------------ reading

    async def open(self, recording: Recording) -> BinaryIO:
        """The whole file; its caller closes it, off the loop. Raises OSError."""
        return await asyncio.to_thread(self.storage.open, recording.file)

    async def members(self, recording: Recording, *names: str) -> list[bytes]:
        """Raises OSError, KeyError."""

        def read() -> list[bytes]:
            with self.storage.open(recording.file) as file:
                return [container.member(file, name) for name in names]

        return await asyncio.to_thread(read)

    # ------------------------------------------------------------------------------------ small things

    async def _again(self, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await work()
            await asyncio.sleep(every_s)

    def _note(self, what: str, problem: str | None) -> None:
        """Keep a problem visible until it is over, and log it once."""
        if problem is None:
            self._problems.pop(what, None)
        elif self._problems.get(what) != problem:
            self._problems[what] = problem
            log.error("%s; calls go on", problem)


def _row(packed: Packed, file: str) -> Recording:
    meta = packed.meta
    return Recording(
        id=meta.id,
        take=meta.take,
        call_id=meta.call_id,
        upstream=meta.upstream,
        profile=meta.profile,
        user=meta.user,
        origin=meta.origin,
        status=meta.status,
        end_reason=meta.end_reason,
        started_at=meta.started_at,
        ended_at=meta.ended_at,
        duration_ms=meta.duration_ms,
        turns=meta.turns,
        last_words=meta.last_words,
        words=folded(packed.words[:MAX_WORDS]),
        file=file,
        bytes=packed.size,
        audio_type=meta.audio,
        audio_offset=packed.place.offset,
        audio_bytes=packed.place.size,
    )


def _yield_to_others() -> None:
    """Run this thread only when nobody else wants the processor (Linux gives each its own niceness)."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
