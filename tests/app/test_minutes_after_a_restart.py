"""Budgets of minutes outlive the application's process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.app.database.test_database import info, opened
from vivavoz.app.access import Access
from vivavoz.app.access.ledger import Ledger
from vivavoz.app.config import App, Budgets, Recordings
from vivavoz.app.database import DatabaseCallStore
from vivavoz.app.recordings.part import Records


async def test_minutes_of_the_last_day_are_read_back(tmp_path: Path) -> None:
    now = time.time()
    async with opened(tmp_path) as database:
        calls = DatabaseCallStore(database)
        for call_id, started, ended in (
            ("rtc_1", now - 3600, now - 3000),
            ("rtc_2", now - 300, now - 240),
            ("rtc_3", now - 2 * 86_400, now - 2 * 86_400 + 3600),
        ):
            await calls.opened(info(call_id, started_at=started))
            await calls.closed(call_id, ended, "hung up")
        await calls.opened(info("rtc_4", user="bea", started_at=now - 60))
    budgets = Budgets(user_minutes_per_day=60)
    ledger = Ledger(budgets)
    access = Access(App(budgets=budgets), keys=(), ledger=ledger)
    records = Records(Recordings(), access, tmp_path)
    await records.open()
    try:
        assert ledger.seconds_used("ana") == pytest.approx(660)
        assert ledger.seconds_left("ana") == pytest.approx(3600 - 660)
        # Hers goes on: it is counted when the observer finds it again.
        assert ledger.seconds_used("bea") == 0
    finally:
        await records.close()
