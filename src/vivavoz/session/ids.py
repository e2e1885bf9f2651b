"""Ids as an argument: random-looking from a seed, or counted for people to read in tests."""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b

from vivavoz.wire.base import Data

_LETTERS = bytes.maketrans(b"+/", b"Zz")


class Ids(Data):
    """A source of ids ``prefix_`` + 21 alphanumeric characters, the shape the hosted services use.

    The same ``seed`` gives the same ids in the same order, so a trace replays to the same effects; an
    unguessable seed makes unguessable ids. An empty seed counts each prefix instead (``item_1``).
    """

    seed: bytes
    counts: dict[str, int] = {}

    def next(self, prefix: str) -> str:
        if not self.seed:
            count = self.counts[prefix] = self.counts.get(prefix, 0) + 1
            return f"{prefix}_{count}"
        count = self.counts[""] = self.counts.get("", 0) + 1
        digest = blake2b(count.to_bytes(8, "big"), key=self.seed, digest_size=16).digest()
        return f"{prefix}_{b64encode(digest).translate(_LETTERS)[:21].decode()}"

    def job(self) -> int:
        """A number never used before in this session."""
        count = self.counts["job"] = self.counts.get("job", 0) + 1
        return count
