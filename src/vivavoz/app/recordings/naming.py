"""Names of folders and files, from ids that others made."""

from __future__ import annotations

import hashlib
import re
import time

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,200}")


def folder_name(call_id: str) -> str:
    """The id itself where it can be a file's name anywhere, else its digest."""
    return call_id if _PLAIN.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()


def kept_as(name: str, started_at: float) -> str:
    """Where a finished recording is kept: a folder for each day (UTC)."""
    day = time.strftime("%Y-%m-%d", time.gmtime(started_at))
    return f"{day}/{name}.zip"
