"""Which addresses the answers name, and which are this machine's own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import ifaddr


async def advertised(names: Sequence[str], bound: str) -> list[str]:
    """The addresses of ``names``, resolved; without any, those at which a socket bound to ``bound``
    is reached. Raises ``OSError`` for a name that has no address."""
    if names:
        found: list[str] = []
        for name in names:
            infos = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
            found += [str(info[4][0]) for info in infos]
        return list(dict.fromkeys(found))
    ip = ipaddress.ip_address(bound)
    if not ip.is_unspecified:
        return [str(ip)]
    return machine_addresses(ipv6=ip.version == 6)


def machine_addresses(*, ipv6: bool) -> list[str]:
    """This machine's addresses, loopback last, link-local ones left out."""
    found = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            text = each.ip if isinstance(each.ip, str) else each.ip[0]
            ip = ipaddress.ip_address(text.partition("%")[0])
            if not ip.is_link_local and (ip.version == 4 or ipv6):
                found.append(ip)
    found.sort(key=lambda ip: ip.is_loopback)
    return list(dict.fromkeys(map(str, found))) or ["127.0.0.1"]


async def bound_socket(host: str, port: int, kind: socket.SocketKind, buffer: int) -> socket.socket:
    """A non-blocking socket on ``host`` (a name or an address; ``::`` takes IPv4 too), with buffers of so
    many bytes. Raises ``OSError``."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    family, _, _, _, address = infos[0]
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        if kind == socket.SOCK_DGRAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
