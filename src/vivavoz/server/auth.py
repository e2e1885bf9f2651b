"""Who a request comes from: the bearer of a key, of a client secret, or (no key configured) anybody here.

Credentials may come in four places (Realtime reference, "Authentication", and Azure's): ``Authorization:
Bearer``, the ``api-key`` header, ``?api-key=``, and the WebSocket subprotocol
``openai-insecure-api-key.<credential>``. An empty one beside a good one is skipped: some clients always send
``Authorization`` and leave it empty when they use ``api-key``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from aiohttp import web

from vivavoz.server.errors import ApiError
from vivavoz.server.tokens import PREFIX, ClientSecret, TokenError, Tokens

KEY_SUBPROTOCOL = "openai-insecure-api-key."


class Offered(NamedTuple):
    """A credential and where it was found; ``source`` is what an error may name."""

    source: str
    value: str


class Principal(NamedTuple):
    """``key``: a configured key was shown. ``token``: a client secret, and what it says. ``open``: no key is
    configured and none is needed."""

    kind: Literal["key", "token", "open"]
    secret: ClientSecret | None = None


class Authenticator:
    def __init__(self, keys: Sequence[str], tokens: Tokens) -> None:
        self._salt = secrets.token_bytes(16)
        self._digests = [self._digest(key) for key in keys]
        self._tokens = tokens

    @property
    def keyless(self) -> bool:
        """No key is configured: whoever passes the loopback guard is let in."""
        return not self._digests

    async def identify(self, request: web.Request) -> Principal:
        """Any one valid credential suffices. Raises ApiError (401) naming the rule that failed."""
        offered = list(credentials(request))
        refusal: ApiError | None = None
        for source, value in offered:
            if value.startswith(PREFIX):
                try:
                    return Principal("token", await self._tokens.open(value))
                except TokenError as error:
                    refusal = refusal or _unauthorized(f"{error.message} (found in {source})", error.code)
            elif self._matches(value):
                return Principal("key")
            elif not self.keyless:
                refusal = refusal or _unauthorized(
                    f"Incorrect API key provided in {source}.", "invalid_api_key"
                )
        if refusal is not None:
            raise refusal
        if self.keyless:
            return Principal("open")
        raise _unauthorized(
            "No credential was found. Give the key as 'Authorization: Bearer KEY', as an 'api-key' header, "
            "as '?api-key=KEY', or in a WebSocket's subprotocols.",
            "missing_api_key",
        )

    async def require_key(self, request: web.Request) -> Principal:
        """For what a client secret does not open. Raises ApiError (401)."""
        principal = await self.identify(request)
        if principal.kind == "token" and not self.keyless:
            raise _unauthorized(
                "This operation needs the API key: a client secret (ek_…) opens only realtime sessions and "
                "realtime/calls.",
                "api_key_required",
            )
        return principal

    def _matches(self, value: str) -> bool:
        # Digests of equal length under a random salt, and every key is looked at: time says nothing.
        digest = self._digest(value)
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode("utf-8", "surrogateescape"), key=self._salt).digest()


def credentials(request: web.Request) -> Iterator[Offered]:
    """What the request offers, empty ones left out, in the order in which they are tried."""
    for header in request.headers.getall("Authorization", []):
        scheme, _, value = header.strip().partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            yield Offered("the Authorization header", value.strip())
    for value in request.headers.getall("api-key", []):
        if value.strip():
            yield Offered("the api-key header", value.strip())
    for value in request.query.getall("api-key", []):
        if value.strip():
            yield Offered("the api-key query parameter", value.strip())
    for protocol in subprotocols(request):
        value = protocol.removeprefix(KEY_SUBPROTOCOL)
        if value != protocol and value:
            yield Offered("the WebSocket subprotocols", value)


def subprotocols(request: web.Request) -> list[str]:
    """What the WebSocket handshake offers."""
    joined = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [name.strip() for name in joined.split(",") if name.strip()]


def _unauthorized(message: str, code: str) -> ApiError:
    return ApiError(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})
