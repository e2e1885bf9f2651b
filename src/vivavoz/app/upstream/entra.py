"""Microsoft Entra tokens: one, kept, renewed early and asked for once however many want it.

``azure-identity`` finds out who this program is (managed identity, workload identity, environment, the Azure
CLI); some of its credentials ask anew at every call, so the token is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vivavoz.app.upstream.port import UpstreamError

log = logging.getLogger("vivavoz.app")

EARLY_S = 300.0
"""How long before its end a token is renewed, while it is still used."""
_LAST_S = 30.0
"""A token that ends sooner is not used: it might end on its way."""
LOOK_S = 30.0
"""How often the token's age is looked at, and so how soon a failed renewal is tried again."""
_FETCH_S = 20.0
_RETRY_S = 2.0
"""For how long nobody asks after a failure that left no token."""


class AccessToken(Protocol):
    """As ``azure.core.credentials.AccessToken``. ``expires_on``: unix seconds."""

    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int: ...


class TokenSource(Protocol):
    """As the credentials of ``azure.identity.aio``."""

    async def get_token(self, *scopes: str) -> Any: ...
    async def close(self) -> None: ...


class Entra:
    """A credential for requests. Renewal happens in :meth:`keep`, where that is running, else in the request
    that finds the token old."""

    def __init__(self, source: TokenSource, scope: str, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._scope = scope
        self._clock = clock
        self._token: str | None = None
        self._expires_on = 0.0
        self._fetching = asyncio.Lock()
        self._failed_until = 0.0

    async def headers(self) -> dict[str, str]:
        """Raises UpstreamError (503) where no token can be had."""
        if self._token is None or self._left() < _LAST_S:
            await self._renew(older_than=_LAST_S)
        return self._headers()

    def refused(self, shown: Mapping[str, str]) -> bool:
        """The token was good by its times: the next one may be better. Of many who were refused with one
        token, the first throws it away."""
        if shown == self._headers():
            self._token = None
        return True

    async def keep(self, look_s: float = LOOK_S) -> None:
        """Renew the token before it ends, until cancelled. By the clock on the wall, which a machine that
        slept finds far ahead; the old token is used as long as it is good."""
        while True:
            with contextlib.suppress(UpstreamError):
                await self._renew(older_than=EARLY_S)
            await asyncio.sleep(look_s)

    async def close(self) -> None:
        await self._source.close()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _left(self) -> float:
        return self._expires_on - self._clock()

    async def _renew(self, older_than: float) -> None:
        """Fetch, unless somebody else just has. Raises UpstreamError."""
        async with self._fetching:
            if self._token is not None and self._left() >= older_than:
                return
            if self._clock() < self._failed_until and self._token is None:
                raise _unavailable()
            try:
                async with asyncio.timeout(_FETCH_S):
                    found = await self._source.get_token(self._scope)
                token, expires_on = str(found.token), float(found.expires_on)
            except Exception as error:
                # Its text names tenants, addresses and what each way of finding a credential said.
                log.error("no Entra token could be had: %s; see docs/azure-app.md", type(error).__name__)
                log.debug("why: %s", error)
                self._failed_until = self._clock() + _RETRY_S
                raise _unavailable() from None
            self._token, self._expires_on = token, expires_on


def default_source() -> TokenSource:
    """``DefaultAzureCredential``, asynchronous. Raises ImportError without the extra ``vivavoz[azure]``."""
    from azure.identity.aio import DefaultAzureCredential

    source: TokenSource = DefaultAzureCredential()
    return source


def _unavailable() -> UpstreamError:
    return UpstreamError(
        503,
        "The application cannot get a credential for the service (Microsoft Entra); its log says more.",
        "credential_unavailable",
        None,
        _RETRY_S,
    )
