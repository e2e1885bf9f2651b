"""The same tables and questions on PostgreSQL, where Debian's package of it and psycopg are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.app.recordings.calls import START, info
from vivavoz.app.database import Database, DatabaseCallStore, DatabaseError, database_url
from vivavoz.app.database.tables import Base, Recording
from vivavoz.app.recordings.catalogue import Catalogue, Cursor, folded

pytest.importorskip("psycopg", reason="pip install 'vivavoz[postgres]'")

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def as_postgres(*command: str | Path) -> None:
    """The server refuses to run as root."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run(
        [*user, *map(str, command)],
        check=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of an empty database, on a unix socket that nobody else knows."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    programs, data = PROGRAMS[-1], folder / "data"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        as_postgres(programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        as_postgres(programs / "pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            as_postgres(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def row(name: str, at: float, words: str) -> Recording:
    return Recording(
        id=name,
        take=f"take of {name}",
        call_id=name,
        upstream="vivavoz",
        profile="default",
        user="ana",
        origin="token",
        status="complete",
        end_reason="hang-up",
        started_at=at,
        ended_at=at + 1,
        duration_ms=1000,
        turns=1,
        last_words=words,
        words=folded(words),
        file=f"{name}.zip",
        bytes=5 * 1024**3,
        audio_type="audio/flac",
        audio_offset=4 * 1024**3,
        audio_bytes=7,
    )


async def test_calls_and_recordings_are_kept_there_too(url: str, tmp_path: Path) -> None:
    database = Database(database_url(url, tmp_path))
    try:
        await database.open()
        calls, catalogue = DatabaseCallStore(database), Catalogue(database)
        await calls.opened(info("rtc_1"))
        await calls.opened(info("rtc_2"))
        await calls.progress("rtc_1", "event_7", START + 5.125)
        await calls.closed("rtc_2", START + 6, "hang-up")
        ((seen, last, at),) = await calls.live()
        assert (seen, last, at) == (info("rtc_1"), "event_7", START + 5.125)

        for n, words in enumerate(("Olá", "a 50% ação", "nothing")):
            await catalogue.add(row(f"rtc_{n}", START + n, words))
        await catalogue.add(row("rtc_0", START, "Olá de novo"))  # once more
        first = await catalogue.page(None, 2, "")
        rest = await catalogue.page(Cursor(first[-1].started_at, first[-1].id), 2, "")
        assert [found.id for found in (*first, *rest)] == ["rtc_2", "rtc_1", "rtc_0"]
        assert [found.id for found in await catalogue.page(None, 9, "50% ACAO")] == ["rtc_1"]
        assert await catalogue.totals() == (3, 15 * 1024**3)
        assert [old.id for old in await catalogue.oldest(9, ended_before=START + 2.5)] == ["rtc_0", "rtc_1"]
        assert await catalogue.name_for("rtc_1", "another take", "rtc_1") == "rtc_1.2"
        await catalogue.remove("rtc_1")
        assert await catalogue.find("rtc_1") is None
    finally:
        await database.close()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


async def test_a_locked_table_is_said_so_within_the_time_allowed(url: str, tmp_path: Path) -> None:
    database = Database(database_url(url, tmp_path), busy_s=0.1)
    engine = sa.create_engine(url)
    try:
        await database.open()
        with engine.begin() as other:
            other.execute(sa.text("lock table calls"))
            with pytest.raises(DatabaseError, match="lock timeout"):
                await DatabaseCallStore(database).opened(info("rtc_9"))
        await DatabaseCallStore(database).opened(info("rtc_9"))
    finally:
        engine.dispose()
        await database.close()


async def test_a_server_that_is_away_is_said_so(tmp_path: Path) -> None:
    database = Database(database_url(f"postgresql+psycopg://me@/calls?host={tmp_path}", tmp_path))
    with pytest.raises(DatabaseError, match="the database calls at localhost cannot be used: connection"):
        await database.open()
    await database.close()
