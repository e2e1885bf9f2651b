"""One database, one thread: everything that is asked of it waits in line there, never on the event loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import URL, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from vivavoz.app.database.migrate import NewerSchema, migrate

T = TypeVar("T")

BUSY_S = 2.0
"""How long a database that somebody else has locked is waited for."""
MAX_WAITING = 512
"""Questions in line; more are refused."""
FILE = "vivavoz.sqlite"


class DatabaseError(OSError):
    """The database cannot be used; the message is for people, and holds nothing of what is stored."""


def database_url(configured: str | None, state_dir: Path) -> URL:
    """The configured database, or SQLite in the state directory. Raises DatabaseError."""
    if configured is None:
        return URL.create("sqlite", database=str(state_dir / FILE))
    try:
        url = sa.make_url(configured)
    except ArgumentError:
        raise DatabaseError("[app.recordings] database is no database URL (postgresql+psycopg://…)") from None
    if url.password is not None:
        raise DatabaseError(
            "[app.recordings] database holds a password: set PGPASSWORD in the environment instead"
        )
    return url


class Database:
    def __init__(self, url: URL | str, *, busy_s: float = BUSY_S) -> None:
        self._url = sa.make_url(url)
        self._busy_s = busy_s
        self._waiting = 0
        self._engine: Engine | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "database")

    @property
    def name(self) -> str:
        """What to call it in messages: no user and no password."""
        if self._url.get_backend_name() == "sqlite":
            return f"the database {self._url.database}"
        return f"the database {self._url.database} at {self._url.host or 'localhost'}"

    async def open(self) -> None:
        """Connect, and bring the tables up to date; the first question does it otherwise. Raises
        DatabaseError."""
        await self._on_thread(self._opened)

    async def run(self, work: Callable[[Session], T]) -> T:
        """Do ``work`` in one transaction, on the database's thread. Raises DatabaseError; nothing of it is
        stored then."""
        return await self._on_thread(lambda: self._transaction(work))

    async def close(self) -> None:
        """What is in line is still done; what comes after it is refused."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._dispose)
            await asyncio.to_thread(self._thread.shutdown)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise DatabaseError(f"{self.name} is closed")
        if self._waiting >= MAX_WAITING:
            raise DatabaseError(f"{self.name} does not keep up: {self._waiting} questions wait for it")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._explained, work)
        finally:
            self._waiting -= 1

    def _explained(self, work: Callable[[], T]) -> T:
        # What a database says may quote what was to be stored: only what it says of itself is passed on.
        try:
            return work()
        except DBAPIError as error:
            said = type(error.orig).__name__
            if isinstance(error, OperationalError) or isinstance(error.orig, sqlite3.Error):
                said = (str(error.orig).strip().splitlines() or [said])[0]
            raise DatabaseError(f"{self.name} cannot be used: {said}") from None
        except NewerSchema:
            raise DatabaseError(
                f"{self.name} was written by a newer version of vivavoz: run that version, or move it away"
            ) from None
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise DatabaseError(
                f"{self.name} needs a driver that is not installed ({error}): pip install 'vivavoz[postgres]'"
            ) from None

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._connected()
        return self._engine

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def _connected(self) -> Engine:
        sqlite = self._url.get_backend_name() == "sqlite"
        if sqlite:
            self._prepare_file()
        # A statement's values may be what was said: `hide_parameters` keeps them out of messages.
        engine = sa.create_engine(
            self._url, pool_size=1, max_overflow=0, pool_pre_ping=not sqlite, hide_parameters=True
        )
        if sqlite:
            event.listen(engine, "connect", self._set_up_sqlite)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        else:
            event.listen(engine, "connect", self._set_up_postgres)
        try:
            with engine.begin() as connection:
                migrate(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _transaction(self, work: Callable[[Session], T]) -> T:
        with Session(self._opened(), expire_on_commit=False) as session, session.begin():
            return work(session)

    def _prepare_file(self) -> None:
        path = Path(self._url.database or "")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made here, so that nobody else may read it; its journal gets the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DatabaseError(f"{self.name} cannot be opened: {error.strerror}") from error

    def _set_up_sqlite(self, connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, those of migrations too
        connection.execute(f"PRAGMA busy_timeout = {round(self._busy_s * 1000)}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a row outlives a power cut: its files go after it
        connection.execute("PRAGMA secure_delete = ON")  # deleted words are gone from the file, too

    def _set_up_postgres(self, connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(self._busy_s * 1000)}")
            cursor.execute("SET statement_timeout = 10000")
        connection.commit()
