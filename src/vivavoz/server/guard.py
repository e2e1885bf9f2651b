"""Who may talk to a service without a key: pages and programs of this machine only.

Such a service listens on loopback, but that alone does not keep a web page elsewhere out: a browser on this
machine would send the page's requests (cross-site requests and WebSockets, and with DNS rebinding even ones
that look same-origin). So Host and Origin must be loopback, or listed in the configuration.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from vivavoz.server.errors import ApiError


class LoopbackGuard:
    """Refuses (403) what does not come from this machine's own pages and programs."""

    def __init__(self, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> None:
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)

    def check(self, request: web.Request) -> None:
        """Raises ApiError."""
        host = request.headers.get("Host", "")
        if not self._host_allowed(host):
            raise ApiError(
                403,
                f"No key is configured, so only loopback hosts are answered, not '{host[:80]}'. "
                "Set VIVAVOZ_API_KEY, or list the host in server.allowed_hosts.",
                code="host_not_allowed",
            )
        for origin in request.headers.getall("Origin", []):
            if not self._origin_allowed(origin):
                raise ApiError(
                    403,
                    f"No key is configured, so only pages from loopback are answered, not '{origin[:80]}'. "
                    "Set VIVAVOZ_API_KEY, or list the origin in server.allowed_origins.",
                    code="origin_not_allowed",
                )

    def _host_allowed(self, host: str) -> bool:
        return (
            is_loopback_name(_name(f"//{host}"))
            or host.lower() in self._hosts
            or _name(f"//{host}") in self._hosts
        )

    def _origin_allowed(self, origin: str) -> bool:
        if origin.lower() in self._origins:
            return True
        # "null" (sandboxed frames, files) names nobody and is refused with the rest.
        return origin.lower().startswith(("http://", "https://")) and is_loopback_name(_name(origin))

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.check(request)
        return await handler(request)


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_loopback_name(name: str) -> bool:
    """Whether a host name (no port) means this machine by definition: an address in 127/8 or ::1, or
    ``localhost`` and what is below it (RFC 6761, section 6.3)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def binds_loopback_only(host: str) -> bool:
    """Whether listening on ``host`` can be reached from this machine only. Resolves names."""
    if is_loopback_name(host):
        return True
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return bool(found) and all(is_loopback_name(str(entry[4][0])) for entry in found)
