"""Working folders as a new process finds them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from vivavoz.app.recordings.packing import has_end, read_info


class Unfinished(NamedTuple):
    name: str
    call_id: str
    ended: bool
    """The call's end is in it."""


def unfinished(work: Path) -> list[Unfinished]:
    """Those that hold something. Raises OSError."""
    found = []
    for folder in sorted(work.iterdir()) if work.exists() else ():
        try:
            found.append(Unfinished(folder.name, read_info(folder).call.call_id, has_end(folder)))
        except (FileNotFoundError, NotADirectoryError):
            continue  # begun this moment, or never
        except msgspec.DecodeError:
            found.append(Unfinished(folder.name, "", True))  # packing will say what is wrong with it
    return found
