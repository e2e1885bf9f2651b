"""``vivavoz app``: the application without a service beside it, in front of one that is elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl

from vivavoz.app.errors import SetupError
from vivavoz.app.logs import set_up_logging
from vivavoz.app.plan import Plan
from vivavoz.app.running import run, run_in_loop
from vivavoz.app.secrets import operator_keys
from vivavoz.config import Config, ConfigError

log = logging.getLogger("vivavoz.app")


def serve_application(config: Config) -> int:
    """Run until asked to end; the exit code. Raises ConfigError."""
    set_up_logging(config.server.log_level)
    run_in_loop(_serve(config))
    return 0


async def _serve(config: Config) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    server = config.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    scheme = "https" if config.tls.enabled else "http"
    try:
        await run(
            plan(config),
            ending,
            lambda: log.info("listening on %s://%s:%d/", scheme, host, server.port),
            _context(config),
        )
    except SetupError as error:
        raise ConfigError(str(error)) from error


def plan(config: Config) -> Plan:
    """What the application is told. Raises SetupError."""
    keys = operator_keys(os.environ)
    return Plan(
        app=config.app,
        state_dir=str(config.state_dir),
        log_level=config.server.log_level,
        host=config.server.host,
        port=config.server.port,
        page=config.server.page != "off",
        operator_keys=keys,
        keyless=not keys,
    )


def _context(config: Config) -> ssl.SSLContext | None:
    if not config.tls.enabled:
        return None
    from vivavoz.server import tls

    return tls.server_context(tls.certificate(config))
