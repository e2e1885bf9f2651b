"""Which calls are alive, as others may watch it: a version that changes with the set."""

from __future__ import annotations

import asyncio
import secrets


class Listing:
    """Counts the changes of a set. A restarted worker begins with a name of its own, so no version of an
    earlier life is ever met again."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(4)
        self._changes = 0
        self._changed = asyncio.Event()
        self._over = False

    @property
    def version(self) -> str:
        return f"{self._life}-{self._changes}"

    def change(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Nobody waits any more: there will be no other version."""
        self._over = True
        self._changed.set()

    async def other_than(self, version: str) -> None:
        """Wait until the version is not ``version``, or never will be another."""
        while self.version == version and not self._over:
            await self._changed.wait()
