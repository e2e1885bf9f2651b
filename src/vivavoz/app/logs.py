"""The application's log: one line an entry, on stderr."""

from __future__ import annotations

import logging
import sys

_NOISY = ("aiohttp", "alembic", "asyncio", "azure", "httpcore", "httpx", "msal", "sqlalchemy")
"""They log what they are sent and sent on, or tell of themselves."""


def set_up_logging(level: str, tag: str = "") -> None:
    """``tag``: which process this is, where several write to one place."""
    who = f" [{tag}]" if tag else ""
    logging.basicConfig(
        level=level.upper(), format=f"%(asctime)s %(levelname)s{who} %(name)s: %(message)s", stream=sys.stderr
    )
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
