"""What types alone cannot say of a configuration."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from vivavoz.config.tables import Config, Entra, Server
from vivavoz.engines.spec import BUILT_IN_SETS


def problems(config: Config) -> Iterator[str]:
    """What is wrong, each naming its key."""
    known = (*BUILT_IN_SETS, *config.engines)
    if config.default_engines != "auto" and config.default_engines not in known:
        yield f"default_engines: no set is called {config.default_engines!r}; known: {', '.join(known)}"
    names: dict[str, str] = {}
    for name, entry in config.models.items():
        if entry.engines is not None and entry.engines not in known:
            yield (
                f'models."{name}".engines: no engine set is called {entry.engines!r}; '
                f"known: {', '.join(known)}"
            )
        for alias in (name, *entry.aliases):
            if alias in names:
                yield f'models."{name}": the name {alias!r} is already taken by models."{names[alias]}"'
            names[alias] = name
    for name in config.engines:
        if name == "auto":
            yield "engines.auto: this name is reserved"
    if (config.tls.cert is None) != (config.tls.key is None):
        yield "tls: cert and key are given together or not at all"
    if config.server.workers > 1 and 0 < config.udp_port > 65536 - config.server.workers:
        yield f"server.udp_port: {config.udp_port} leaves no room for {config.server.workers} workers"
    yield from _tcp_problems(config.server)
    if config.server.strict_azure and not config.models:
        yield (
            "server.strict_azure: Azure knows deployments only, and none is configured: name yours, "
            '[models."my-deployment"]'
        )
    yield from _entra_problems(config.entra)
    for network in config.mcp.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield f"mcp.networks: {error}"
    for origin in config.server.allowed_origins:
        if not re.fullmatch(r"https?://[^/]+", origin):
            yield f"server.allowed_origins: expected scheme://host[:port] without a path, got {origin!r}"


def _tcp_problems(server: Server) -> Iterator[str]:
    first = server.tcp_media_port
    if not first:
        return
    if server.workers > 1 and first > 65536 - server.workers:
        yield f"server.tcp_media_port: {first} leaves no room for {server.workers} workers"
    if server.port in range(first, first + server.workers):
        yield f"server.tcp_media_port: {server.port} is the port of HTTP, media needs another"


def _entra_problems(entra: Entra) -> Iterator[str]:
    if entra.jwks is None:
        if entra.tenants or entra.issuers or entra.principals:
            yield "entra: jwks (the file or URL of the keys) is missing, so that no token would be accepted"
        return
    if not entra.tenants and not entra.issuers:
        yield "entra: name tenants or issuers, or anybody's tokens for Azure would be accepted"
    if not entra.audiences:
        yield "entra.audiences: expected at least one"
    host = re.match(r"http://(\[::1\]|127\.0\.0\.1|localhost)(?=[:/])", entra.jwks)
    if entra.jwks.startswith("http://") and not host:
        yield "entra.jwks: keys are fetched over https:// only (or from this machine)"
