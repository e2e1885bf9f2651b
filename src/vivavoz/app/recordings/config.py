"""What can be configured of recordings: the ``[app.recordings]`` table (docs/configuration.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

AtLeastNone = Annotated[int, Meta(ge=0)]
"""A bound where 0 means that there is none."""


class Recordings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of calls, where, and for how long."""

    enabled: bool = False
    """Record the calls of profiles that do not say otherwise (``record``)."""
    folder: str | None = None
    """Folder or URL (``s3://bucket/folder``) of the finished files; None: in the state directory."""
    database: str | None = None
    """SQLAlchemy URL of the database, without a password; None: SQLite in the state directory."""
    audio: Literal["flac", "opus", "off"] = "flac"
    """``flac``: lossless; ``opus``: a fraction of the size, several times the work; ``off``: words only."""
    retention_days: AtLeastNone = 30
    """When a recording is deleted; 0: never."""
    retention_bytes: AtLeastNone = 20 * 1024**3
    """When all of them are larger than this, the oldest are deleted; 0: no bound."""
    notice: str | None = None
    """What callers are told before they are recorded."""
    keep_prompts: bool = False
    """Keep instructions and prompts in the recorded events; credentials never are."""
