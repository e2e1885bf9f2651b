"""Who a request comes from, and whether they may do what they ask for."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, Protocol
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Middleware

from vivavoz.app.access.addresses import Proxies, shown
from vivavoz.app.access.ledger import Ledger, Reservation
from vivavoz.app.access.origins import Origins
from vivavoz.app.access.rates import Rate, WrongKeys
from vivavoz.app.config import App
from vivavoz.app.errors import AppError

KEY_SUBPROTOCOL = "vivavoz-key."
"""How a page's WebSocket shows the key: it cannot set headers."""
SUBPROTOCOL = "vivavoz"
"""Offered beside it; what is chosen."""

_MAX_NAME = 120
_MAX_KEYS = 4
"""As many are looked at in one request."""

LOCAL = "local"
"""Who everybody is where nothing is configured that tells people apart."""
KEY = "key"
"""Who shows the key."""


class User(NamedTuple):
    """``name`` is what budgets are counted by; ``address`` is shown, and what rates are counted by."""

    name: str
    address: str
    operator: bool


class Login(Protocol):
    """Who says who a user is."""

    def user(self, request: web.Request) -> str | None:
        """None: nobody."""

    @property
    def url(self) -> str | None:
        """Where a browser logs in; None: nowhere here."""

    def routes(self) -> Sequence[web.RouteDef]: ...


class HeaderLogin:
    """A proxy in front of us has asked, and says who it is in a header."""

    url = None

    def __init__(self, header: str, proxies: Proxies) -> None:
        self._header = header
        self._proxies = proxies

    def user(self, request: web.Request) -> str | None:
        if not self._proxies.trusted(self._proxies.peer(request)):
            return None
        names = request.headers.getall(self._header, [])
        # Two of them: one may be the caller's own.
        return names[0].strip() or None if len(names) == 1 else None

    def routes(self) -> Sequence[web.RouteDef]:
        return []


class Access:
    def __init__(
        self,
        config: App,
        *,
        keys: Sequence[str],
        ledger: Ledger,
        login: Login | None = None,
    ) -> None:
        """``keys``: those that make an operator; without one and without a login everybody who reaches the
        application is user ``local``, and operator. Raises ValueError for proxies that are no networks."""
        access = config.access
        self.ledger = ledger
        self._proxies = Proxies(access.proxies)
        if login is None and access.login == "header":
            login = HeaderLogin(access.header, self._proxies)
        self.login = login
        self._open = access.open
        self._operators = frozenset(access.operators)
        self._salt = secrets.token_bytes(16)
        self._keys = [self._digest(key) for key in keys]
        self.unprotected = not keys and login is None
        self._origins = Origins(config.origins, access.hosts if self.unprotected else None)
        self._user_rate = Rate("user", config.budgets.user_per_minute)
        self._address_rate = Rate("address", config.budgets.address_per_minute)
        self._wrong = WrongKeys()

    @property
    def middleware(self) -> Middleware:
        """Refuses what another origin's page asks for, and answers its preflights where it may."""
        return self._origins.middleware

    @property
    def key_required(self) -> bool:
        """Whether a caller must show the key."""
        return bool(self._keys) and self.login is None and not self._open

    def visitor(self, request: web.Request) -> User | None:
        """Who it is; None: somebody who may not call. Raises AppError (429) where keys are being guessed."""
        address = shown(self._proxies.client(request))
        if self.unprotected:
            return User(LOCAL, address, True)
        if self._keys and self._shows_key(request, address):
            return User(KEY, address, True)
        if self.login is not None and (name := self.login.user(request)):
            name = name[:_MAX_NAME]
            return User(name, address, bool(self._operators & {name, "*"}))
        return User(f"anonymous ({address})", address, False) if self._open else None

    def identify(self, request: web.Request) -> User:
        """Raises AppError (401) for somebody who may not call."""
        user = self.visitor(request)
        if user is None:
            raise self._unknown()
        return user

    def operator(self, request: web.Request) -> User:
        """Raises AppError: 401 where nobody was named, 403 where it is no operator."""
        user = self.identify(request)
        if user.operator:
            return user
        if user.name.startswith("anonymous ("):
            raise self._unknown()
        raise AppError(403, "Only operators may do this.", "operators_only")

    def allow(self, user: User, kind: Literal["token", "connect"], seconds: float) -> Reservation:
        """A place for one call that begins within ``seconds``; release it where none comes of it. Raises
        AppError (429)."""
        self._address_rate.take(user.address)
        self._user_rate.take(user.name)
        return self.ledger.reserve(user.name, seconds)

    def _shows_key(self, request: web.Request, address: str) -> bool:
        """Raises AppError (429) for an address that has shown too many wrong ones."""
        offered = list(islice(_keys_shown(request), _MAX_KEYS))
        # With a login, its proxy may send tokens of its own there.
        counted = bool(offered) and self.login is None and not self._proxies.speaks_for_many(request)
        if counted:
            self._wrong.check(address)
        good = any(self._matches(each) for each in offered)
        if counted and not good:
            self._wrong.note(address)
        return good

    def _unknown(self) -> AppError:
        if self.login is not None:
            return AppError(401, "Log in first.", "login_required")
        return AppError(
            401,
            "This needs the key. Enter it on the page, or send it as 'Authorization: Bearer KEY'.",
            "key_required",
        )

    def _matches(self, value: str) -> bool:
        # Digests of equal length under a random salt, and every key is looked at: time says nothing.
        digest = self._digest(value)
        return sum(hmac.compare_digest(digest, known) for known in self._keys) > 0

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode("utf-8", "surrogateescape"), key=self._salt).digest()


def _keys_shown(request: web.Request) -> Iterator[str]:
    for header in request.headers.getall("Authorization", []):
        scheme, _, value = header.strip().partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            yield value.strip()
    for value in request.headers.getall("api-key", []):
        yield value.strip()
    for protocol in ",".join(request.headers.getall("Sec-WebSocket-Protocol", [])).split(","):
        if protocol.strip().startswith(KEY_SUBPROTOCOL):
            key = protocol.strip().removeprefix(KEY_SUBPROTOCOL)
            yield key
            if "%" in key:
                # Not every character may be in the name of a subprotocol.
                yield unquote(key)
