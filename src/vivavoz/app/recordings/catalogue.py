"""The rows of finished recordings: lists, searches, and what retention asks."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from vivavoz.app.database.database import Database
from vivavoz.app.database.tables import Recording

MAX_WORDS = 200_000
"""Characters of a transcript that are searched."""
MAX_TERMS = 10


class Cursor(NamedTuple):
    """The last recording of a page: the next page begins after it."""

    started_at: float
    id: str

    def __str__(self) -> str:
        return f"{self.started_at!r}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises ValueError."""
        started_at, _, name = text.partition(":")
        return cls(float(started_at), name)


class Totals(NamedTuple):
    recordings: int
    bytes: int


def folded(text: str) -> str:
    """As it is searched: small letters, no accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


class Catalogue:
    """Every method raises DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def name_for(self, call_id: str, take: str, base: str) -> str:
        """The id of a take's recording: the one it has, else ``base``, numbered where an earlier recording of
        the same call has that."""

        def work(session: Session) -> str:
            known = session.scalar(sa.select(Recording.id).where(Recording.take == take))
            if known is not None:
                return known
            taken = set(session.scalars(sa.select(Recording.id).where(Recording.call_id == call_id)))
            number, name = 1, base
            while name in taken:
                number += 1
                name = f"{base}.{number}"
            return name

        return await self._database.run(work)

    async def add(self, recording: Recording) -> None:
        """Once more for the same take: what was there is replaced."""

        def work(session: Session) -> None:
            session.execute(sa.delete(Recording).where(Recording.take == recording.take))
            session.add(recording)

        await self._database.run(work)

    async def find(self, name: str) -> Recording | None:
        """By its id, or the latest of the call with that id."""
        found = (
            sa.select(Recording)
            .options(defer(Recording.words))
            .where(sa.or_(Recording.id == name, Recording.call_id == name))
            .order_by(sa.case((Recording.id == name, 0), else_=1), Recording.ended_at.desc())
            .limit(1)
        )
        return await self._database.run(lambda session: session.scalar(found))

    async def remove(self, name: str) -> None:
        gone = sa.delete(Recording).where(Recording.id == name)

        def work(session: Session) -> None:
            session.execute(gone)

        await self._database.run(work)

    async def page(self, before: Cursor | None, limit: int, query: str) -> list[Recording]:
        """Latest first. ``query``: words that are all in the transcript, in any order."""
        found = sa.select(Recording).options(defer(Recording.words))
        for term in folded(query).split()[:MAX_TERMS]:
            found = found.where(Recording.words.contains(term, autoescape=True))
        if before is not None:
            found = found.where(
                sa.or_(
                    Recording.started_at < before.started_at,
                    sa.and_(Recording.started_at == before.started_at, Recording.id < before.id),
                )
            )
        found = found.order_by(Recording.started_at.desc(), Recording.id.desc()).limit(limit)
        return await self._database.run(lambda session: list(session.scalars(found)))

    async def totals(self) -> Totals:
        asked = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Recording.bytes), 0))

        def work(session: Session) -> Totals:
            count, size = session.execute(asked.select_from(Recording)).one()
            return Totals(int(count), int(size))

        return await self._database.run(work)

    async def oldest(self, limit: int, *, ended_before: float | None = None) -> list[Recording]:
        found = sa.select(Recording).options(defer(Recording.words))
        if ended_before is not None:
            found = found.where(Recording.ended_at < ended_before)
        found = found.order_by(Recording.ended_at, Recording.id).limit(limit)
        return await self._database.run(lambda session: list(session.scalars(found)))
