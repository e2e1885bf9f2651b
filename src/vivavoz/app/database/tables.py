"""The tables as they are now; how they came to be is in ``migrations``. Times are unix seconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Index, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {float: Double, str: Text}  # noqa: RUF012


class Call(Base):
    """A call that is, or was, observed."""

    __tablename__ = "calls"
    __table_args__ = (Index("calls_ended_at", "ended_at"),)

    call_id: Mapped[str] = mapped_column(primary_key=True)
    upstream: Mapped[str]
    profile: Mapped[str]
    user: Mapped[str] = mapped_column("user_name")
    origin: Mapped[str]
    filtered: Mapped[str]
    browser_reads_session: Mapped[bool]
    record: Mapped[bool]
    started_at: Mapped[float]
    last_event_id: Mapped[str | None]
    seen_at: Mapped[float]
    ended_at: Mapped[float | None]
    end_reason: Mapped[str | None]


class Recording(Base):
    """A finished recording: what lists and searches need. All else is in its file."""

    __tablename__ = "recordings"
    __table_args__ = (
        Index("recordings_order", "started_at", "id"),
        Index("recordings_call_id", "call_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    take: Mapped[str] = mapped_column(unique=True)
    """Names the working folder it was made of, so that packing it twice adds one row."""
    call_id: Mapped[str]
    upstream: Mapped[str]
    profile: Mapped[str]
    user: Mapped[str] = mapped_column("user_name")
    origin: Mapped[str]
    status: Mapped[str]
    """``complete`` or ``interrupted``."""
    end_reason: Mapped[str]
    started_at: Mapped[float]
    ended_at: Mapped[float]
    duration_ms: Mapped[int]
    turns: Mapped[int]
    last_words: Mapped[str]
    words: Mapped[str]
    """The transcript as it is searched: folded to small letters without accents."""
    file: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    audio_type: Mapped[str | None]
    """Content type of the sound; None: there is none."""
    audio_offset: Mapped[int] = mapped_column(BigInteger)
    """Where the sound begins in the file (bytes)."""
    audio_bytes: Mapped[int] = mapped_column(BigInteger)
