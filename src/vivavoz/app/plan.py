"""What the application's process is told: a line of JSON on its standard input, or made from flags where it
runs alone."""

from __future__ import annotations

from msgspec import Struct

from vivavoz.app.config import App


class Service(Struct, frozen=True, kw_only=True):
    """The service of this installation (upstream ``vivavoz``), reached past its public port."""

    sockets: tuple[str, ...]
    """Unix sockets of the workers; a call is opened at each in turn, and found through any."""
    key: str
    """Made at every start for the application alone."""
    strict_azure: bool = False
    """It speaks as Azure does and no more: so does the application with it."""

    def __repr__(self) -> str:
        return f"Service(sockets={self.sockets})"


class Plan(Struct, frozen=True, kw_only=True):
    """Secrets are in it: it is never logged."""

    app: App = App()
    state_dir: str
    """For the database and, unless configured otherwise, recordings."""
    log_level: str = "info"
    socket: str | None = None
    """Unix socket to listen on: what comes there was relayed by a worker, which appended the client's address
    to ``X-Forwarded-For``. None: ``host`` and ``port``."""
    host: str = "127.0.0.1"
    port: int = 8080
    page: bool = True
    """Serve the page too. A worker serves it itself."""
    service: Service | None = None
    """None: the upstream is elsewhere."""
    operator_keys: tuple[str, ...] = ()
    """Keys of the service: who shows one is an operator."""
    keyless: bool = True
    """No key is configured: everybody who is let in is an operator. The service listens on loopback then."""

    def __repr__(self) -> str:
        return f"Plan(socket={self.socket}, port={self.port}, upstream={self.app.upstream})"
