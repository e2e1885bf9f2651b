"""Which MCP servers a client may make this machine connect to.

A client names a URL and the server goes there: without a rule, that is a way into the server's own network.
So an address must be public, or in a network that the operator named.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import msgspec

from vivavoz.engines.ports import EngineError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(EngineError):
    """The operator's rules forbid the connection."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "mcp_refused")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """``hosts``: names that may be asked (``mcp.example.com``, ``*.example.com``); empty: any.
    ``networks``: private networks (``10.1.0.0/16``) whose addresses may be asked, plain ``http`` included."""

    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def check_url(self, scheme: str, host: str, userinfo: str) -> None:
        """What can be said before the name is resolved. Raises :class:`Refused`."""
        if scheme not in ("http", "https") or not host:
            raise Refused("An MCP server's URL begins with https:// and names a host.")
        if userinfo:
            raise Refused("An MCP server's URL may not hold credentials; use 'authorization' or 'headers'.")
        if self.hosts and not any(_matches(host.lower().rstrip("."), name.lower()) for name in self.hosts):
            raise Refused("This MCP server's host is not among those that are allowed here.")

    def check_addresses(self, scheme: str, addresses: Sequence[str]) -> str:
        """The address to connect to. All that the name has must be good, so that none can be slipped in.
        Raises :class:`Refused`."""
        found = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
        for address in found:
            named = self._named(address)
            if not named and not _public(address):
                raise Refused("This MCP server's address is not a public one, and not allowed here.")
            if scheme == "http" and not named:
                raise Refused("An MCP server must be reached over https.")
        if not found:
            raise Refused("This MCP server's host has no address.")
        return str(found[0])

    def _named(self, address: Address) -> bool:
        inner = _inner(address)
        return any(
            each in network
            for network in map(ipaddress.ip_network, self.networks)
            for each in ([address] if inner is None else [inner])
            if each.version == network.version
        )


def _public(address: Address) -> bool:
    inner = _inner(address)
    if inner is not None:
        return _public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
