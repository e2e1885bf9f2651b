"""Who a request comes from: the bearer of a key, of an Entra token, of a client secret, or anybody here where
neither of the first two is configured.

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

from vivavoz.server.entra import EntraError, EntraTokens, looks_like
from vivavoz.server.errors import ApiError, unavailable
from vivavoz.server.guesses import Guesses
from vivavoz.server.jwks import RETRY_S, KeysUnavailable
from vivavoz.server.tokens import PREFIX, ClientSecret, TokenError, Tokens

KEY_SUBPROTOCOL = "openai-insecure-api-key."

_HEADER = "the Authorization header"
_SUBPROTOCOLS = "the WebSocket subprotocols"

_NOTHING = (
    "No credential was found. Give the key as 'Authorization: Bearer KEY', as an 'api-key' header, as "
    "'?api-key=KEY', or in a WebSocket's subprotocols."
)
_NOTHING_STRICT = (
    "No credential was found. Give the key as an 'api-key' header, or an Entra token as 'Authorization: "
    "Bearer TOKEN'."
)


class Offered(NamedTuple):
    """A credential and where it was found; ``source`` is what an error may name."""

    source: str
    value: str


class Principal(NamedTuple):
    """``key``: a configured key or a good Entra token was shown. ``token``: a client secret, and what it
    says. ``open``: nothing is configured that could be shown. ``account``: whose tokens are used; a client
    secret's are those of who minted it."""

    kind: Literal["key", "token", "open"]
    secret: ClientSecret | None = None
    account: str = ""


class Authenticator:
    def __init__(
        self,
        keys: Sequence[str],
        tokens: Tokens,
        *,
        internal_key: str | None = None,
        entra: EntraTokens | None = None,
        strict_azure: bool = False,
        guesses: Guesses | None = None,
    ) -> None:
        """``internal_key``: the application's; it opens what a key opens, and a service that has no other is
        keyless still. ``strict_azure``: keys are taken as ``api-key`` only, and ``calls`` takes none."""
        self._salt = secrets.token_bytes(16)
        self._digests = [self._digest(key) for key in keys]
        self._internal = [self._digest(internal_key)] if internal_key else []
        self._tokens = tokens
        self._entra = entra
        self._strict = strict_azure
        self._guesses = guesses or Guesses(0)

    @property
    def keyless(self) -> bool:
        """Nothing is configured that could be shown: whoever passes the loopback guard is let in."""
        return not self._digests and self._entra is None

    async def identify(self, request: web.Request) -> Principal:
        """Any one valid credential suffices. Raises ApiError (401) naming the rule that failed, 503 where an
        Entra token cannot be judged, and 429 where too many wrong ones came from the same address."""
        self._guesses.check(request)
        refusal: ApiError | None = None
        for offered in credentials(request):
            try:
                principal = await self._judge(offered)
            except ApiError as error:
                if error.status != 401:
                    raise
                refusal = refusal or error
            else:
                if principal is not None:
                    return principal
        if refusal is not None:
            self._guesses.note(request, refusal)
            raise refusal
        if self.keyless:
            return Principal("open")
        raise _unauthorized(_NOTHING_STRICT if self._strict else _NOTHING, "missing_api_key")

    async def _judge(self, offered: Offered) -> Principal | None:
        """None: it says nothing, because nothing is asked for."""
        source, value = offered
        if value.startswith(PREFIX):
            try:
                secret = await self._tokens.open(value)
                return Principal("token", secret, secret.account)
            except TokenError as error:
                raise _unauthorized(f"{error.message} (found in {source})", error.code) from None
        strict = self._strict and source in (_HEADER, _SUBPROTOCOLS)
        if self._place(self._internal, value) is not None:
            return Principal("key", account="application")
        if not strict and (place := self._place(self._digests, value)) is not None:
            return Principal("key", account=f"key {place}")
        if looks_like(value) and source == _HEADER and self._entra is not None:
            return Principal("key", account=await self._check_entra(self._entra, offered))
        if self.keyless:
            return None
        if looks_like(value) and self._entra is None:
            raise _unauthorized(
                f"A token was found in {source} that is none of this server's: Entra tokens are accepted "
                "where [entra] is configured.",
                "invalid_api_key",
            )
        if strict:
            raise _unauthorized(
                f"A key was found in {source}: as on Azure, keys go into an 'api-key' header; "
                "'Authorization: Bearer' is for Entra tokens and client secrets (ek_…).",
                "invalid_api_key",
            )
        raise _unauthorized(f"Incorrect API key provided in {source}.", "invalid_api_key")

    async def _check_entra(self, entra: EntraTokens, offered: Offered) -> str:
        try:
            return f"entra {await entra.check(offered.value)}"
        except EntraError as error:
            raise _unauthorized(
                f"The Entra token in {offered.source} is refused: {error.message}.", "invalid_token"
            ) from None
        except KeysUnavailable:
            raise unavailable(
                "The keys that Entra tokens are signed with cannot be read; this server's log says why.",
                code="entra_keys_unavailable",
                retry_after_s=RETRY_S,
            ) from None

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

    async def identify_caller(self, request: web.Request) -> Principal:
        """For ``realtime/calls``, which Azure opens with a client secret only. Raises ApiError (401)."""
        principal = await self.identify(request)
        if self._strict and principal.kind != "token":
            raise _unauthorized(
                "This operation requires ephemeral tokens: mint a client secret (ek_…) with "
                "realtime/client_secrets and send it as 'Authorization: Bearer ek_…'.",
                "ephemeral_token_required",
            )
        return principal

    def _place(self, digests: Sequence[bytes], value: str) -> int | None:
        """Which of them it is."""
        # Digests of equal length under a random salt, and every key is looked at: time says nothing.
        digest = self._digest(value)
        places = [place for place, known in enumerate(digests) if hmac.compare_digest(digest, known)]
        return places[0] if places else None

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode("utf-8", "surrogateescape"), key=self._salt).digest()


def credentials(request: web.Request) -> Iterator[Offered]:
    """What the request offers, empty ones left out, in the order in which they are tried."""
    for header in request.headers.getall("Authorization", []):
        scheme, _, value = header.strip().partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            yield Offered(_HEADER, value.strip())
    for value in request.headers.getall("api-key", []):
        if value.strip():
            yield Offered("the api-key header", value.strip())
    for value in request.query.getall("api-key", []):
        if value.strip():
            yield Offered("the api-key query parameter", value.strip())
    for protocol in subprotocols(request):
        value = protocol.removeprefix(KEY_SUBPROTOCOL)
        if value != protocol and value:
            yield Offered(_SUBPROTOCOLS, value)


def subprotocols(request: web.Request) -> list[str]:
    """What the WebSocket handshake offers."""
    joined = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [name.strip() for name in joined.split(",") if name.strip()]


def _unauthorized(message: str, code: str) -> ApiError:
    return ApiError(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})
