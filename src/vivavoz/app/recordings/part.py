"""What the application remembers and keeps, as a part of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from vivavoz.app.access import Access
from vivavoz.app.access.ledger import DAY_S
from vivavoz.app.database import Database, DatabaseCallStore, DatabaseError, database_url
from vivavoz.app.errors import SetupError
from vivavoz.app.observer.ports import CallStore, Recorder
from vivavoz.app.recordings.archive import Archive
from vivavoz.app.recordings.config import Recordings
from vivavoz.app.recordings.routes import routes


class Records:
    """``store`` and ``recorder`` are the observer's. Add it to ``application.parts``, and set
    ``application.recordings``."""

    def __init__(self, config: Recordings, access: Access, state_dir: Path) -> None:
        """Touches nothing yet. Raises SetupError for what is configured wrongly."""
        try:
            self._database = Database(database_url(config.database, state_dir))
            self._calls = DatabaseCallStore(self._database)
            self.store: CallStore = self._calls
            self.archive = Archive(config, state_dir=state_dir, database=self._database, calls=self.store)
        except (DatabaseError, ValueError) as error:
            raise SetupError(str(error)) from None
        self.recorder: Recorder = self.archive.recorder
        self._access = access

    async def open(self) -> None:
        """Look whether the database can be used, and bring it up to date; count the minutes that callers had
        in the last day. Raises SetupError."""
        try:
            await self._database.open()
            for call in await self._calls.ended_since(time.time() - DAY_S):
                self._access.ledger.used(*call)
        except DatabaseError as error:
            await self._database.close()
            raise SetupError(str(error)) from None

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        return routes(self.archive, self._access.operator)

    async def run(self) -> None:
        await self.archive.run()

    async def close(self) -> None:
        """After everything that remembers and records has ended."""
        await self._database.close()
