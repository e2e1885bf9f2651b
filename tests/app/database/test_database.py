"""The database: its tables as they came to be, what it says when it cannot be used, and the calls in it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

from vivavoz.app.database import Database, DatabaseCallStore, DatabaseError, database_url, migrate
from vivavoz.app.database.tables import Base, Call
from vivavoz.app.observer.ports import CallInfo


def info(call_id: str = "rtc_1", **members: Any) -> CallInfo:
    given: dict[str, Any] = {
        "upstream": "vivavoz",
        "profile": "default",
        "user": "ana",
        "origin": "token",
        "filtered": "on",
        "browser_reads_session": False,
        "started_at": 1000.0,
        "record": True,
    }
    return CallInfo(call_id=call_id, **(given | members))


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Database]:
    database = Database(database_url(None, path), **options)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


def made_at(path: Path, revision: str) -> None:
    """A database as the version with that schema left it."""
    engine = sa.create_engine(f"sqlite:///{path / 'vivavoz.sqlite'}")
    with engine.begin() as connection:
        migrate.migrate(connection, revision)
    engine.dispose()


def test_the_newest_migration_is_the_one_that_is_skipped_to() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_heads() == [migrate.HEAD]


@pytest.mark.parametrize("start", [None, "0001"])
def test_migrations_lead_to_the_tables_as_declared(tmp_path: Path, start: str | None) -> None:
    if start:
        made_at(tmp_path, start)
        with sqlite3.connect(tmp_path / "vivavoz.sqlite") as raw:
            raw.execute(
                "insert into calls values ('rtc_0','u','p','ana','token','on',1,1,5.0,null,5.0,null,null)"
            )

    async def read() -> list[str]:
        async with opened(tmp_path) as database:
            return await database.run(lambda session: list(session.scalars(sa.select(Call.call_id))))

    assert asyncio.run(read()) == (["rtc_0"] if start else [])
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'vivavoz.sqlite'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


async def test_a_migration_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    made_at(tmp_path, "0001")
    with sqlite3.connect(tmp_path / "vivavoz.sqlite") as raw:
        raw.execute("create table other (started_at, id)")
        raw.execute("create index recordings_order on other (started_at, id)")  # in the second one's way
    with pytest.raises(DatabaseError, match="recordings_order"):
        async with opened(tmp_path):
            pass
    with sqlite3.connect(tmp_path / "vivavoz.sqlite") as raw:
        tables = {name for (name,) in raw.execute("select name from sqlite_master where type = 'table'")}
        assert tables == {"calls", "other", "alembic_version"}
        assert raw.execute("select version_num from alembic_version").fetchall() == [("0001",)]


async def test_a_newer_schema_is_refused_in_words(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "vivavoz.sqlite") as raw:
        raw.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(DatabaseError, match="newer version of vivavoz"):
        async with opened(tmp_path):
            pass


async def test_a_locked_database_is_said_so_within_the_time_allowed(tmp_path: Path) -> None:
    async with opened(tmp_path, busy_s=0.05) as database:
        store = DatabaseCallStore(database)
        other = sqlite3.connect(tmp_path / "vivavoz.sqlite", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(DatabaseError, match="database is locked"):
            await store.opened(info())
        other.execute("rollback")
        await store.opened(info())
        other.close()
        assert [seen.info for seen in await store.live()] == [info()]


async def test_a_database_locked_at_the_start_is_said_so(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "vivavoz.sqlite", isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(DatabaseError, match="database is locked"):
        async with opened(tmp_path, busy_s=0.05):
            pass
    other.close()


async def test_what_is_no_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "vivavoz.sqlite").write_text("shopping list" * 100)
    with pytest.raises(DatabaseError, match="file is not a database"):
        async with opened(tmp_path):
            pass


async def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot be opened: File exists"):
        async with opened(tmp_path / "file"):
            pass


async def test_errors_tell_nothing_of_what_was_to_be_stored(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:

        def work(session: Session) -> None:
            session.execute(
                sa.text("insert into calls (call_id, user_name) values (:a, :b)"), {"a": "x", "b": "words"}
            )

        with pytest.raises(DatabaseError) as caught:
            await database.run(work)
        assert "words" not in str(caught.value)
        assert caught.value.__cause__ is None


async def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "state") as database:
        await DatabaseCallStore(database).opened(info())
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == dict.fromkeys(("vivavoz.sqlite", "vivavoz.sqlite-wal", "vivavoz.sqlite-shm"), 0o600)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg://me:secret@db/calls", "PGPASSWORD"),
        ("not a url", "no database URL"),
    ],
)
def test_a_url_that_will_not_do_is_refused_without_being_quoted(
    url: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseError, match=message) as caught:
        database_url(url, tmp_path)
    assert "secret" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------- calls


async def test_calls_are_found_again_by_the_next_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        store = DatabaseCallStore(database)
        for name, at in (("rtc_1", 1000.0), ("rtc_2", 1010.0), ("rtc_3", 1020.0)):
            await store.opened(info(name, started_at=at))
        await store.progress("rtc_1", "event_7", 1100.0)
        await store.closed("rtc_2", 1050.0, "hang-up")
    async with opened(tmp_path) as database:
        live = await DatabaseCallStore(database).live()
    assert [(seen.info.call_id, seen.last_event_id, seen.seen_at) for seen in live] == [
        ("rtc_3", None, 1020.0),
        ("rtc_1", "event_7", 1100.0),
    ]


async def test_a_call_that_is_opened_again_goes_on_where_it_was_seen_last(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        store = DatabaseCallStore(database)
        await store.opened(info())
        await store.progress("rtc_1", "event_7", 1100.0)
        await store.closed("rtc_1", 1200.0, "given up")
        await store.opened(info(user="rui"))
        (seen,) = await store.live()
    assert (seen.info.user, seen.last_event_id, seen.seen_at) == ("rui", "event_7", 1100.0)


async def test_progress_of_many_calls_at_once_is_all_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        store = DatabaseCallStore(database)
        names = [f"rtc_{n}" for n in range(30)]
        await asyncio.gather(*(store.opened(info(name)) for name in names))
        await asyncio.gather(*(store.progress(name, f"last of {name}", 5.0) for name in names))
        assert {seen.info.call_id: seen.last_event_id for seen in await store.live()} == {
            name: f"last of {name}" for name in names
        }


async def test_calls_that_ended_a_week_ago_are_forgotten(tmp_path: Path) -> None:
    day = 86400.0
    async with opened(tmp_path) as database:
        store = DatabaseCallStore(database)
        for n, ended in enumerate((0.0, 2 * day, 8 * day)):
            await store.opened(info(f"rtc_{n}"))
            await store.closed(f"rtc_{n}", ended, "hang-up")
        kept = await database.run(lambda session: set(session.scalars(sa.select(Call.call_id))))
    assert kept == {"rtc_1", "rtc_2"}


async def test_more_questions_than_it_can_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivavoz.app.database.database.MAX_WAITING", 2)
    async with opened(tmp_path) as database:
        store = DatabaseCallStore(database)
        done = await asyncio.gather(
            *(store.opened(info(f"rtc_{n}")) for n in range(4)), return_exceptions=True
        )
    assert [type(answer) for answer in done] == [type(None), type(None), DatabaseError, DatabaseError]
