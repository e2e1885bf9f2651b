"""Where a request comes from, when it came through proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "unknown"
_MAX_HOPS = 10


class Proxies:
    """Whose word about addresses is believed. Raises ValueError for what is no network."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(each, strict=False) for each in networks]

    def trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def peer(self, request: web.Request) -> Address | None:
        """Who made the TCP connection: of a request that came over our own unix socket, the last hop that
        its relay wrote down."""
        return next(self._hops(request), None)

    def client(self, request: web.Request) -> Address | None:
        """The nearest address that is none of a trusted proxy."""
        found = None
        for found in self._hops(request):
            if not self.trusted(found):
                break
        return found

    def speaks_for_many(self, request: web.Request) -> bool:
        """Whether :meth:`client` is most likely a proxy that is not among the trusted ones: what one behind
        it does must not be held against all of them."""
        hops = list(self._hops(request))
        client = self.client(request)
        return client is not None and client.is_private and hops[-1] != client

    def _hops(self, request: web.Request) -> Iterator[Address]:
        """Nearest first; each is believed only as far as the ones before it are."""
        if request.remote:
            peer = parse(request.remote)
            if peer is None:
                return
            yield peer
        named = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for text in named[: -_MAX_HOPS - 1 : -1]:
            hop = parse(text)
            if hop is None:
                return
            yield hop


def parse(text: str) -> Address | None:
    """An address, without its port or brackets; an IPv4 address in IPv6's clothes is the IPv4 address."""
    text = text.strip().partition("%")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def shown(address: Address | None) -> str:
    """Whom a limit counts: of IPv6 the network, since every customer has all of one."""
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address) if address is not None else UNKNOWN
