"""An OpenID provider: what it says of itself, and of a user (OpenID Connect Core 1.0, code flow).

Needs the extra ``vivavoz[login]``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from vivavoz.app.errors import AppError, SetupError

log = logging.getLogger("vivavoz.app")

ALGORITHMS = ["RS256", "PS256", "ES256"]
"""Of id tokens; public keys only, so that no token is signed by what everybody knows."""
_REQUEST_S = 10.0
_MAX_BODY = 256 * 1024
_FRESH_S = 3600.0
_ASK_AGAIN_S = 60.0
_LEEWAY_S = 60


class Metadata(msgspec.Struct, frozen=True):
    """OpenID Connect Discovery 1.0, section 3: what is used of it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str | None = None


class Provider:
    def __init__(self, issuer: str, client_id: str, client_secret: str | None) -> None:
        """Raises SetupError."""
        self.issuer = _secure(issuer.rstrip("/"), "app.access.oidc_issuer")
        self.client_id = client_id
        self._client_secret = client_secret
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._metadata_at = self._keys_at = 0.0

    async def metadata(self) -> Metadata:
        """Raises AppError (502)."""
        if self._metadata is None or time.monotonic() - self._metadata_at > _FRESH_S:
            body = await self._ask("GET", f"{self.issuer}/.well-known/openid-configuration")
            try:
                found = msgspec.json.decode(body, type=Metadata)
                for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                    _secure(endpoint, "endpoint")
            except (msgspec.DecodeError, UnicodeError, SetupError):
                raise _failed("describes itself in a way that is not understood") from None
            if found.issuer.rstrip("/") != self.issuer:
                raise _failed("says that it is another issuer")
            self._metadata, self._metadata_at = found, time.monotonic()
        return self._metadata

    async def claims(self, code: str, verifier: str, nonce: str, redirect_uri: str) -> dict[str, Any]:
        """What the id token for ``code`` says, once it is checked. Raises AppError."""
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.client_id,
            "code_verifier": verifier,
        }
        if self._client_secret is not None:
            form["client_secret"] = self._client_secret
        try:
            tokens = msgspec.json.decode(await self._ask("POST", metadata.token_endpoint, form), type=_Tokens)
        except (msgspec.DecodeError, UnicodeError):
            raise _failed("answered, but not with an id token") from None
        try:
            return await self._checked(metadata, tokens, nonce)
        except (JoseError, ValueError) as error:
            # Its text may name what the token holds.
            log.warning("an id token is refused: %s", type(error).__name__)
            raise _failed("gave an id token that is not valid here") from None

    async def _checked(self, metadata: Metadata, tokens: _Tokens, nonce: str) -> dict[str, Any]:
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            token = jwt.decode(tokens.id_token, await self._key_set(metadata), registry=registry)
        except InvalidKeyIdError:
            keys = await self._key_set(metadata, older_than_s=_ASK_AGAIN_S)
            token = jwt.decode(tokens.id_token, keys, registry=registry)
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": metadata.issuer},
                "aud": {"essential": True, "value": self.client_id},
                "nonce": {"essential": True, "value": nonce},
            },
            {"client_id": self.client_id, "nonce": nonce, "access_token": tokens.access_token},
        )
        claims.validate(leeway=_LEEWAY_S)
        return dict(claims)

    async def _key_set(self, metadata: Metadata, older_than_s: float = _FRESH_S) -> KeySet:
        if self._keys is None or time.monotonic() - self._keys_at > older_than_s:
            body = await self._ask("GET", metadata.jwks_uri)
            self._keys_at = time.monotonic()
            try:
                self._keys = KeySet.import_key_set(msgspec.json.decode(body))
            except (msgspec.DecodeError, UnicodeError, JoseError, KeyError, TypeError):
                raise _failed("gives no keys that are understood") from None
        return self._keys

    async def _ask(self, method: str, url: str, form: dict[str, str] | None = None) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_S)
        headers = {"Accept": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=True) as http,
                http.request(method, url, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    log.warning("the OpenID provider answered %d", answer.status)
                    raise _failed(f"answered {answer.status}")
                return await answer.content.readexactly(_MAX_BODY)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("the OpenID provider cannot be asked (%s)", type(error).__name__)
            raise _failed("cannot be reached") from None
        except asyncio.IncompleteReadError as shorter:
            return shorter.partial


def _secure(url: str, what: str) -> str:
    """https, or this machine. Raises SetupError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise SetupError(f"{what}: expected an address like https://login.example.com")
    return url


def _failed(what: str) -> AppError:
    return AppError(502, f"The login failed: the OpenID provider {what}.", "login_provider_failed")
