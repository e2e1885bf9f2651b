"""Microsoft Entra access tokens, checked here by public keys: nobody is asked about a token.

A token counts as a key where its signature, its times, its audience, its issuer and its tenant are right
(OpenID Connect Core 1.0, section 3.1.3.7; RFC 7519). What is wrong is said by the rule's name; neither the
token nor what it claims is ever repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jwt

from vivavoz.config import Config, ConfigError, Entra
from vivavoz.server.jwks import KeySet, file_reader, url_reader
from vivavoz.server.jwks import parse as parse_keys

ALGORITHMS = ("RS256", "ES256")
_MAX_CHARS = 16 * 1024
_REQUIRED = ("exp", "iss", "aud")


class EntraError(Exception):
    """The token opens nothing; ``message`` names the rule that failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class EntraTokens:
    """Checks tokens by one configuration."""

    def __init__(self, config: Entra, keys: KeySet) -> None:
        self._keys = keys
        self._audiences = {_audience(each) for each in config.audiences}
        self._issuers = {each.rstrip("/") for each in (*config.issuers, *_issuers(config.tenants))}
        self._tenants = {tenant.lower() for tenant in config.tenants}
        self._principals = {principal.lower() for principal in config.principals}
        self._leeway = config.leeway_seconds

    @classmethod
    def from_config(cls, config: Config) -> EntraTokens | None:
        """None: not configured. Raises ConfigError where the file of keys is of no use."""
        source = config.entra.jwks
        if source is None:
            return None
        if source.startswith(("https://", "http://")):
            return cls(config.entra, KeySet(url_reader(source)))
        path = Path(source).expanduser()
        try:
            parse_keys(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"entra.jwks: {path} cannot be used: {error}") from error
        return cls(config.entra, KeySet(file_reader(path)))

    async def check(self, token: str) -> str:
        """Whose token it is, where it is good. Raises EntraError, KeysUnavailable."""
        claims = await self._signed(token)
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if not any(isinstance(each, str) and _audience(each) in self._audiences for each in audiences):
            raise EntraError(f"its audience (aud) is none of {_listed(self._audiences)}")
        issuer = claims["iss"]
        if not isinstance(issuer, str) or issuer.rstrip("/") not in self._issuers:
            raise EntraError("its issuer (iss) is not one that is trusted here")
        tenant = claims.get("tid")
        if self._tenants and tenant is not None and str(tenant).lower() not in self._tenants:
            raise EntraError("its tenant (tid) is not one that is trusted here")
        if self._principals and not self._principals & _principals(claims):
            raise EntraError("its user or application (oid, appid, azp) may not use this service")
        who = next((claims[name] for name in ("oid", "appid", "azp", "sub") if name in claims), "")
        return str(who).lower()

    async def _signed(self, token: str) -> dict[str, Any]:
        """The claims, once signature and times are right."""
        if len(token) > _MAX_CHARS:
            raise EntraError("it is too long")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise EntraError("it is not a JSON Web Token") from None
        if header.get("alg") not in ALGORITHMS:
            raise EntraError(f"its signature algorithm (alg) is none of {_listed(ALGORITHMS)}")
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise EntraError("it does not say which key signed it (kid)")
        key = await self._keys.find(key_id)
        if key is None:
            raise EntraError("the key that signed it (kid) is not among the configured ones")
        try:
            return jwt.decode(
                token,
                key,
                # The key's own: a token cannot have its key used in another way.
                algorithms=[key.algorithm_name],
                leeway=self._leeway,
                options={"require": list(_REQUIRED), "verify_aud": False, "verify_iss": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise EntraError(_why(error)) from None


def looks_like(credential: str) -> bool:
    """Whether this is a JSON Web Token, going by its outside: three parts, the first of them JSON."""
    return credential.startswith("eyJ") and credential.count(".") == 2 and credential.isascii()


def _why(error: Exception) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired (exp)"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet (nbf, iat)"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim '{error.claim}'"
        case jwt.InvalidAlgorithmError():
            return "its signature algorithm (alg) is not that of its key"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
    return "it is malformed"


def _audience(text: str) -> str:
    """A resource and the scope that asks for all of it are the same audience."""
    return text.strip().removesuffix("/.default").rstrip("/").lower()


def _issuers(tenants: Iterable[str]) -> list[str]:
    """What a tenant's tokens say, of either version."""
    return [
        issuer
        for tenant in tenants
        for issuer in (
            f"https://sts.windows.net/{tenant}/",
            f"https://login.microsoftonline.com/{tenant}/v2.0",
        )
    ]


def _principals(claims: dict[str, Any]) -> set[str]:
    return {str(claims[name]).lower() for name in ("oid", "appid", "azp") if name in claims}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
