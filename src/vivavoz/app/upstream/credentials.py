"""How the application shows a service who it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Credential(Protocol):
    async def headers(self) -> dict[str, str]:
        """What a request carries. Raises UpstreamError where there is nothing to carry."""
        ...

    def refused(self, shown: Mapping[str, str]) -> bool:
        """Told that the service answered 401 to these headers; True: asking :meth:`headers` again gives
        something newer."""
        ...

    async def close(self) -> None: ...


class Key:
    """An API key, which is what it is; None: the service asks for none."""

    def __init__(self, key: str | None, *, azure: bool = False) -> None:
        """``azure``: as ``api-key``, which is where Azure takes keys."""
        self._headers: dict[str, str] = {}
        if key:
            self._headers = {"api-key": key} if azure else {"Authorization": f"Bearer {key}"}

    async def headers(self) -> dict[str, str]:
        return self._headers

    def refused(self, shown: Mapping[str, str]) -> bool:
        return False

    async def close(self) -> None:
        pass

    def __repr__(self) -> str:
        return f"Key(set={bool(self._headers)})"
