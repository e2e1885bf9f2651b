"""Users log in at an OpenID provider; who they are is in a sealed cookie after that.

Needs the extra ``vivavoz[login]``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from authlib.common.security import generate_token
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.fernet import Fernet, InvalidToken

from vivavoz.app.access.provider import Provider
from vivavoz.app.errors import AppError

SESSION_S = 8 * 3600
"""How long a login lasts."""
_LOGIN_S = 600
"""How long logging in may take."""
_SESSION = "vivavoz_session"
_LOGIN = "vivavoz_login"
_MAX_COOKIE = 4096
_START, _CALLBACK, _END = "/login/start", "/login/callback", "/login/end"


class _Session(msgspec.Struct, frozen=True):
    user: str


class _Login(msgspec.Struct, frozen=True):
    """What the way to the provider and back must not change."""

    state: str
    nonce: str
    verifier: str
    next: str


_T = TypeVar("_T")


class OidcLogin:
    """``url`` in errors and in ``/api/app`` is where a browser begins."""

    url = _START

    def __init__(self, provider: Provider, *, public_url: str, claim: str, seal: str | None) -> None:
        """``public_url``: of the application, as browsers see it. ``claim``: what names the user. ``seal``:
        what cookies are sealed with; None: something new at every start."""
        self._provider = provider
        self._redirect_uri = public_url.rstrip("/") + _CALLBACK
        self._tls = public_url.lower().startswith("https://")
        self._claim = claim
        key = hashlib.blake2b((seal or secrets.token_hex(32)).encode(), digest_size=32, person=b"app login")
        self._fernet = Fernet(base64.urlsafe_b64encode(key.digest()))

    def user(self, request: web.Request) -> str | None:
        found = self._opened(request.cookies.get(_SESSION), _Session, SESSION_S)
        return found.user if found is not None else None

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get(_START, self._start, allow_head=False),
            web.get(_CALLBACK, self._callback, allow_head=False),
            web.post(_END, self._end),
        ]

    async def run(self) -> None:
        return

    async def _start(self, request: web.Request) -> web.StreamResponse:
        metadata = await self._provider.metadata()
        login = _Login(
            generate_token(32), generate_token(32), generate_token(64), _local(request.query.get("next"))
        )
        location = add_params_to_uri(
            metadata.authorization_endpoint,
            [
                ("response_type", "code"),
                ("client_id", self._provider.client_id),
                ("redirect_uri", self._redirect_uri),
                ("scope", "openid email profile"),
                ("state", login.state),
                ("nonce", login.nonce),
                ("code_challenge", create_s256_code_challenge(login.verifier)),
                ("code_challenge_method", "S256"),
            ],
        )
        response = _redirect(location)
        self._set(response, _LOGIN, login, _LOGIN_S, "/login")
        return response

    async def _callback(self, request: web.Request) -> web.StreamResponse:
        login = self._opened(request.cookies.get(_LOGIN), _Login, _LOGIN_S)
        state, code = request.query.get("state", ""), request.query.get("code", "")
        if login is None or not hmac.compare_digest(login.state.encode(), state.encode()):
            raise AppError(
                403, f"This login was not begun here, or took too long: begin at {_START}.", "login_stale"
            )
        if not code:
            raise AppError(403, "The OpenID provider did not let you in.", "login_refused")
        claims = await self._provider.claims(code, login.verifier, login.nonce, self._redirect_uri)
        response = _redirect(login.next)
        self._set(response, _SESSION, _Session(self._named(claims)), SESSION_S, "/")
        response.del_cookie(_LOGIN, path="/login")
        return response

    async def _end(self, request: web.Request) -> web.StreamResponse:
        response = web.Response(status=204)
        response.del_cookie(_SESSION, path="/")
        return response

    def _named(self, claims: dict[str, Any]) -> str:
        name = claims.get(self._claim)
        if not isinstance(name, str) or not name.strip():
            raise AppError(
                403, f"The OpenID provider did not say who you are (claim '{self._claim}').", "login_nameless"
            )
        if self._claim == "email" and claims.get("email_verified", True) is not True:
            raise AppError(403, "Your e-mail address is not verified.", "login_unverified")
        return name.strip()

    def _set(
        self, response: web.StreamResponse, name: str, value: msgspec.Struct, seconds: int, path: str
    ) -> None:
        sealed = self._fernet.encrypt(msgspec.json.encode(value)).decode()
        response.set_cookie(
            name, sealed, max_age=seconds, path=path, httponly=True, samesite="Lax", secure=self._tls
        )

    def _opened(self, sealed: str | None, kind: type[_T], seconds: int) -> _T | None:
        """None: not ours, changed, or too old."""
        if not sealed or len(sealed) > _MAX_COOKIE:
            return None
        try:
            return msgspec.json.decode(self._fernet.decrypt(sealed.encode(), ttl=seconds), type=kind)
        except (InvalidToken, msgspec.DecodeError, UnicodeError):
            return None


def _redirect(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def _local(path: str | None) -> str:
    """A path of this very application: nobody is sent elsewhere from here."""
    good = path and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path[:200] if path and good and path.isascii() else "/"
