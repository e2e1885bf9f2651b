"""What of a token does not fit into it, until it expires: a session configuration that is too long, how often
it was used where that is counted, and that it was revoked.

Entries are sealed before they come here, so a store sees neither prompts nor keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from vivavoz.server.sealing import make_private_dir, write_private

_NAME = re.compile(r"(?P<expires>[0-9]{10})-(?P<key>[0-9a-f]{32})")


class StoreFull(Exception):
    """No room until entries expire."""


class Store(Protocol):
    async def put(self, key: str, value: bytes, expires_at: int) -> None:
        """Keep ``value`` under ``key`` (32 hex digits) until ``expires_at`` (Unix seconds).

        Raises StoreFull."""
        ...

    async def get(self, key: str, expires_at: int) -> bytes | None:
        """What was put under this key with this expiry; None where it is gone."""
        ...

    async def claim(self, keys: Sequence[str], expires_at: int) -> str | None:
        """Take the first of ``keys`` that nobody has: of any number who ask at once, in any process, each
        gets another. None where all are taken. Raises StoreFull."""
        ...

    async def release(self, key: str, expires_at: int) -> None:
        """Give back what was claimed. Idempotent."""
        ...


class MemoryStore:
    """For one process, and for tests."""

    def __init__(
        self, *, max_entries: int = 10_000, max_bytes: int = 2**28, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: dict[tuple[int, str], bytes] = {}

    async def put(self, key: str, value: bytes, expires_at: int) -> None:
        self._make_room(len(value))
        self._entries[expires_at, key] = value

    async def claim(self, keys: Sequence[str], expires_at: int) -> str | None:
        self._make_room(0)
        for key in keys:
            if (expires_at, key) not in self._entries:
                self._entries[expires_at, key] = b""
                return key
        return None

    async def release(self, key: str, expires_at: int) -> None:
        self._entries.pop((expires_at, key), None)

    def _make_room(self, needed: int) -> None:
        now = self._clock()
        self._entries = {name: kept for name, kept in self._entries.items() if name[0] > now}
        size = sum(map(len, self._entries.values()))
        if len(self._entries) >= self._max_entries or size + needed > self._max_bytes:
            raise StoreFull

    async def get(self, key: str, expires_at: int) -> bytes | None:
        return self._entries.get((expires_at, key)) if expires_at > self._clock() else None


class FileStore:
    """A directory of files, shared by the workers of one machine and kept over a restart.

    The expiry is in the name, so that sweeping reads no file. The bounds hold to within what several workers
    write in the same instant.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 2**28,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock

    async def put(self, key: str, value: bytes, expires_at: int) -> None:
        await asyncio.to_thread(self._put, key, value, expires_at)

    async def get(self, key: str, expires_at: int) -> bytes | None:
        if expires_at <= self._clock():
            return None
        return await asyncio.to_thread(self._get, key, expires_at)

    async def claim(self, keys: Sequence[str], expires_at: int) -> str | None:
        return await asyncio.to_thread(self._claim, keys, expires_at)

    async def release(self, key: str, expires_at: int) -> None:
        await asyncio.to_thread(self._path(key, expires_at).unlink, missing_ok=True)

    def _path(self, key: str, expires_at: int) -> Path:
        name = f"{expires_at:010d}-{key}"
        if not _NAME.fullmatch(name):
            raise ValueError("a store's keys are 32 hex digits")
        return self._directory / name

    def _put(self, key: str, value: bytes, expires_at: int) -> None:
        self._make_room(len(value))
        path = self._path(key, expires_at)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        write_private(aside, value)
        aside.replace(path)

    def _get(self, key: str, expires_at: int) -> bytes | None:
        try:
            return self._path(key, expires_at).read_bytes()
        except FileNotFoundError:
            return None

    def _claim(self, keys: Sequence[str], expires_at: int) -> str | None:
        self._make_room(0)
        for key in keys:
            # Where the file is there already, another process has it: the kernel lets one of them win.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path(key, expires_at), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                return key
        return None

    def _make_room(self, needed: int) -> None:
        make_private_dir(self._directory)
        sizes = list(self._sweep())
        if len(sizes) >= self._max_entries or sum(sizes) + needed > self._max_bytes:
            raise StoreFull

    def _sweep(self) -> Iterator[int]:
        """Delete what has expired; the sizes of what stays."""
        now = self._clock()
        with os.scandir(self._directory) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name.lstrip(".")[:43])
                with contextlib.suppress(FileNotFoundError):
                    if match and int(match["expires"]) <= now:
                        os.unlink(entry.path)
                    elif match:
                        yield entry.stat(follow_symlinks=False).st_size
