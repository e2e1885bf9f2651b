"""The few things that are done to a working folder's files; tests put a full disk in its place."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for us alone. Raises OSError."""
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


class Disk:
    """Every method raises OSError."""

    def folder(self, path: Path) -> int:
        """Make it where it is missing, for us alone, and hold its lock until the descriptor is closed.

        BlockingIOError: somebody else holds it.
        """
        make_private(path)
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            raise
        return held

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def size(self, file: int) -> int:
        return os.fstat(file).st_size

    def write_at(self, file: int, position: int, data: bytes) -> None:
        """All of it, or an error after some of it. Between the file's end and ``position`` are zeros then."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(file, rest, position)
            position += written
            rest = rest[written:]

    def truncate(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        """What was written is on the disk when this returns."""
        os.fdatasync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def replace(self, path: Path, data: bytes) -> None:
        """Write a whole small file so that it is there completely or not at all, also after a power cut."""
        new = path.with_name(path.name + ".new")
        file = self.open(new)
        try:
            self.truncate(file, 0)
            self.write_at(file, 0, data)
            self.sync(file)
        finally:
            self.close(file)
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
