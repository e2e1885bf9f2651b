"""A finished recording is one zip file: any tool opens it, and its sound is served from inside."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

META, TRANSCRIPT, PEAKS, EVENTS = "meta.json", "transcript.json", "peaks.json", "events.jsonl"


class Place(NamedTuple):
    """Where a stored member's bytes are in the file."""

    offset: int
    size: int


def write(target: Path, members: dict[str, bytes | Path], stored: str | None) -> Place:
    """Make the file, whole and on the disk when this returns. The member called ``stored`` is not compressed,
    and its place is returned. Raises OSError."""
    new = target.with_name(target.name + ".new")
    with new.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, content in members.items():
                how = zipfile.ZIP_STORED if name == stored else zipfile.ZIP_DEFLATED
                if isinstance(content, Path):
                    archive.write(content, name, how)
                else:
                    archive.writestr(name, content, how)
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)
    if stored is None:
        return Place(0, 0)
    with target.open("rb") as file:
        return place(file, stored)


def place(file: BinaryIO, name: str) -> Place:
    """Of a stored member. Raises KeyError, OSError, zipfile.BadZipFile."""
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo(name)
    # The local header repeats the name and has extra fields of its own (APPNOTE 4.3.7).
    file.seek(entry.header_offset + 26)
    lengths = file.read(4)
    header = 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return Place(entry.header_offset + header, entry.file_size)


def member(file: BinaryIO, name: str) -> bytes:
    """Raises KeyError, OSError, zipfile.BadZipFile."""
    with zipfile.ZipFile(file) as archive:
        return archive.read(name)
