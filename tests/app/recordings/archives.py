"""An archive in a folder of its own, at work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.app.recordings.calls import START, info, state, tone
from tests.waiting import until
from vivavoz.app.database import Database, DatabaseCallStore, database_url
from vivavoz.app.database.tables import Recording
from vivavoz.app.recordings.archive import Archive
from vivavoz.app.recordings.config import Recordings
from vivavoz.app.recordings.recorder import FileRecorder

DAY = 86_400.0


class Clock:
    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Archived:
    """``archive`` and what is around it; ``clock`` is the archive's."""

    def __init__(self, state_dir: Path, clock: Callable[[], float], **config: Any) -> None:
        self.folder = state_dir
        self.database = Database(database_url(None, state_dir), busy_s=0.05)
        self.calls = DatabaseCallStore(self.database)
        self.archive = Archive(
            Recordings(**config), state_dir=state_dir, database=self.database, calls=self.calls, clock=clock
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Archived]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.archive.run())
            yield self
            task.cancel()

    def record(
        self, call_id: str, *words: str, seconds: float = 1.0, at: float = START, **members: Any
    ) -> None:
        """A whole call, from its opening to its end."""
        call, recorder = info(call_id, started_at=at, **members), self.archive.recorder
        recorder.opened(call)
        recorder.event(call_id, at, "server", b'{"type":"session.created"}')
        if call.upstream == "vivavoz":
            samples = int(seconds * 24_000)
            recorder.audio(call_id, "caller", 0, tone(samples))
            recorder.audio(call_id, "assistant", 0, tone(samples, level=500))
        recorder.closed(call_id, at + seconds, "hang-up", state(call, *words))

    async def row(self, name: str) -> Recording:
        """Of a recording, when it is kept."""
        async with asyncio.timeout(60):
            while (row := await self.archive.catalogue.find(name)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return row

    async def settled(self) -> None:
        """Until nothing is being recorded or packed."""
        archive = self.archive
        await until(lambda: not archive.recorder._names and not archive.packing, 60)

    @property
    def files(self) -> list[str]:
        kept = self.folder / "recordings/kept"
        return sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file())

    @property
    def working(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "recordings/work").iterdir())


@contextlib.asynccontextmanager
async def archived(
    state_dir: Path, clock: Callable[[], float] | None = None, **config: Any
) -> AsyncIterator[Archived]:
    made = Archived(state_dir, clock or Clock(), **config)
    try:
        async with made.running():
            yield made
    finally:
        await made.database.close()


def cut_short(folder: Path, *call_ids: str) -> None:
    """Working folders as a killed process left them."""
    recorder = FileRecorder(folder / "recordings/work")
    for call_id in call_ids:
        recorder.opened(info(call_id))
        recorder.event(call_id, START + 1, "server", b'{"type":"session.created"}')
        recorder.audio(call_id, "caller", 0, tone(24_000))
    recorder.round(0.0)
    for take in recorder._writing:
        take.release(recorder._disk)
