"""Which pages may call: those served here, and those of a list (Fetch, "CORS"; Fetch Metadata)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from vivavoz.app.errors import AppError

_GUARDED = ("/token", "/connect", "/api/", "/login/end")
"""Not the page's files, nor where a login begins and comes back to: a link from elsewhere may lead there."""

_ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type, api-key",
    "Access-Control-Max-Age": "600",
}


class Origins:
    """Same-origin by default. ``hosts``, where given: the only names under which it answers at all, besides
    loopback, so that no foreign name that is made to point here counts as the same origin."""

    def __init__(self, allowed: Iterable[str], hosts: Iterable[str] | None) -> None:
        self._allowed = {origin.lower().rstrip("/") for origin in allowed}
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(_GUARDED):
            return await handler(request)
        foreign = self.check(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204, headers=_ALLOWED if foreign else {})
        else:
            response = await handler(request)
        if foreign is not None and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = foreign
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Expose-Headers"] = "Location, Retry-After, x-request-id"
        if not response.prepared:
            response.headers.add("Vary", "Origin")
        return response

    def check(self, request: web.Request) -> str | None:
        """The origin of a page of another that may call; None: one of ours, or no page. Raises AppError
        (403)."""
        host = request.headers.get("Host", "")
        if self._hosts is not None and not self._known(host):
            raise AppError(
                403,
                f"Nothing protects this application, so it answers on loopback only, not as '{host[:80]}': "
                "configure a key or a login, or list the host in app.access.hosts.",
                "host_not_allowed",
            )
        origin = request.headers.get("Origin", "").lower()
        if origin in self._allowed:
            return request.headers["Origin"]
        site = request.headers.get("Sec-Fetch-Site")
        ours = site in ("same-origin", "none") if site else not origin or _same(origin, host)
        if not ours:
            raise AppError(
                403,
                "This page may not call the application: it is from another origin. Origins that may are "
                "listed in app.origins.",
                "cross_site",
            )
        return None

    def _known(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".") if _splits(f"//{host}") else ""
        return is_loopback(name) or name in (self._hosts or ()) or host.lower() in (self._hosts or ())


def is_loopback(name: str) -> bool:
    """Whether a host name means this machine by definition (RFC 6761, section 6.3)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(origin: str, host: str) -> bool:
    """Whoever serves TLS in front of us knows the scheme; we do not."""
    scheme, _, rest = origin.partition("://")
    if scheme not in ("http", "https"):
        return False
    port = ":443" if scheme == "https" else ":80"
    return rest.removesuffix(port) == host.lower().removesuffix(port)


def _splits(url: str) -> bool:
    try:
        return urlsplit(url).hostname is not None
    except ValueError:
        return False
