"""The calls table behind the observer's port: what a new process needs to find the old one's calls."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vivavoz.app.database.database import Database
from vivavoz.app.database.tables import Call
from vivavoz.app.observer.ports import CallInfo, Observed

MAX_LIVE = 10_000
MAX_ENDED = 50_000
KEPT_S = 7 * 86400.0
"""How long an ended call is remembered."""

_MEMBERS = CallInfo.__struct_fields__


class DatabaseCallStore:
    """A failure raises DatabaseError, which is an OSError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[str, tuple[str | None, float]] = {}

    async def opened(self, info: CallInfo) -> None:
        """Once more for a call that is known: it goes on, and what was last seen of it stays."""

        def work(session: Session) -> None:
            call = session.get(Call, info.call_id)
            if call is None:
                call = Call(call_id=info.call_id, seen_at=info.started_at)
                session.add(call)
            for name in _MEMBERS:
                setattr(call, name, getattr(info, name))
            call.ended_at = call.end_reason = None

        await self._database.run(work)

    async def progress(self, call_id: str, last_event_id: str | None, at: float) -> None:
        """What several calls report while the database is busy becomes one transaction."""
        if len(self._pending) < MAX_LIVE:
            self._pending[call_id] = (last_event_id, at)
        await self._database.run(self._write_progress)

    async def closed(self, call_id: str, at: float, reason: str) -> None:
        self._pending.pop(call_id, None)
        ended = sa.update(Call).where(Call.call_id == call_id).values(ended_at=at, end_reason=reason)
        old = sa.delete(Call).where(Call.ended_at < at - KEPT_S)

        def work(session: Session) -> None:
            session.execute(ended)
            session.execute(old)

        await self._database.run(work)

    async def live(self) -> list[Observed]:
        found = (
            sa.select(Call).where(Call.ended_at.is_(None)).order_by(Call.started_at.desc()).limit(MAX_LIVE)
        )

        def work(session: Session) -> list[Observed]:
            return [
                Observed(
                    CallInfo(**{name: getattr(call, name) for name in _MEMBERS}),
                    call.last_event_id,
                    call.seen_at,
                )
                for call in session.scalars(found)
            ]

        return await self._database.run(work)

    async def ended_since(self, at: float) -> list[tuple[str, float, float]]:
        """User, start and end of the calls that ended later than ``at``; of too many, the newest."""
        found = (
            sa.select(Call.user, Call.started_at, Call.ended_at)
            .where(Call.ended_at > at)
            .order_by(Call.ended_at.desc())
            .limit(MAX_ENDED)
        )

        def work(session: Session) -> list[tuple[str, float, float]]:
            rows = session.execute(found)
            return [(user, started, ended) for user, started, ended in rows if ended is not None]

        return await self._database.run(work)

    def _write_progress(self, session: Session) -> None:
        # On the database's thread, while the loop's adds to it: taking out one at a time is safe.
        while self._pending:
            call_id, (last_event_id, at) = self._pending.popitem()
            session.execute(
                sa.update(Call).where(Call.call_id == call_id).values(last_event_id=last_event_id, seen_at=at)
            )
