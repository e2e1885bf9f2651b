"""``vivavoz serve``: checks what must hold before anything listens, then one worker here, or several."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from vivavoz import application, worker
from vivavoz.assembly import Plan
from vivavoz.config import Config, ConfigError, Secrets, Testing
from vivavoz.engines.build import STAGES, missing_embedded_packages, resolve_default
from vivavoz.server import tls
from vivavoz.server.entra import EntraTokens
from vivavoz.server.guard import binds_loopback_only

log = logging.getLogger("vivavoz")


def serve(config: Config, secrets: Secrets) -> int:
    """Run until asked to end; the exit code. Raises ConfigError."""
    worker.set_up_logging(config.server.log_level)
    config = checked(config, secrets)
    announce(config, secrets)
    if config.server.workers > 1:
        from vivavoz.supervise import supervise

        return supervise(config, secrets)
    with tempfile.TemporaryDirectory(prefix="vivavoz-", ignore_cleanup_errors=True) as folder:
        worker.run_in_loop(_alone(config, secrets, Path(folder)))
    return 0


def checked(config: Config, secrets: Secrets) -> Config:
    """The configuration with what ``auto`` means here. Raises ConfigError where serving would be unsafe or
    is bound to fail."""
    server = config.server
    shut = bool(secrets.api_keys) or config.entra.jwks is not None
    if not shut and not binds_loopback_only(server.host):
        raise ConfigError(
            f"--host {server.host} can be reached from other machines, and no key is configured: set "
            "VIVAVOZ_API_KEY (clients must show it), or listen on 127.0.0.1"
        )
    if not shut and server.strict_azure:
        raise ConfigError(
            "--strict-azure: Azure lets nobody in without a key: set VIVAVOZ_API_KEY, or [entra]"
        )
    EntraTokens.from_config(config)
    if config.tls.enabled:
        tls.server_context(tls.certificate(config))
    chosen = resolve_default(config.default_engines)
    if chosen != config.default_engines:
        config = msgspec.structs.replace(config, default_engines=chosen)
    for name in config.engine_sets_in_use():
        config.engine_set(name)
    for problem in _test_mode_problems(config):
        raise ConfigError(problem)
    return config


def _test_mode_problems(config: Config) -> Iterator[str]:
    testing, server = config.testing, config.server
    sets = [config.engine_set(name) for name in config.engine_sets_in_use()]
    scripted = all(each.stage(stage) == "scripted" for each in sets for stage in STAGES)
    if testing.deterministic:
        if not binds_loopback_only(server.host):
            yield (
                f"--deterministic makes ids that anybody can guess, and --host {server.host} can be reached "
                "from other machines: listen on 127.0.0.1, or leave it out"
            )
        if not scripted:
            yield "--deterministic needs the scripted engines: other models never answer twice the same"
    if testing.time == "virtual" and not scripted:
        yield "--time virtual needs the scripted engines: only their delays can be left out"
    if server.workers > 1 and testing != Testing():
        yield "test mode (--deterministic, --event-log, --time) needs one worker"


def announce(config: Config, secrets: Secrets) -> None:
    """What an operator should know, before it listens."""
    server = config.server
    if missing_embedded_packages() and config.default_engines == "scripted":
        log.info("the embedded engines are not installed (pip install 'vivavoz[embedded]')")
    if config.entra.jwks is not None:
        log.info("clients may show an Entra token, signed by a key of %s", config.entra.jwks)
    if secrets.api_keys:
        log.info("clients must show a key (%d configured)", len(secrets.api_keys))
        if config.server.page == "open":
            log.warning('page = "open": whoever reaches the page can talk without a key')
    elif config.entra.jwks is None:
        log.info("no key is configured: answering this machine's own pages and programs only")
    if server.trace_dir:
        log.warning("every call is recorded in %s: traces hold what is said, and sound", server.trace_dir)
    if config.testing.event_log:
        log.warning("events are written to %s: they hold what is said, and sound", config.testing.event_log)
    if config.tls.enabled:
        found = tls.certificate(config)
        log.info("certificate: %s", found.cert)
        if found.authority is not None:
            log.info("clients trust it through %s (Node: NODE_EXTRA_CA_CERTS)", found.authority)


def announce_listening(config: Config, port: int) -> None:
    scheme = "https" if config.tls.enabled else "http"
    host = config.server.host
    shown = "localhost" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host
    log.info("listening on %s://%s:%d/ with engines %s", scheme, shown, port, config.default_engines)


async def _alone(config: Config, secrets: Secrets, folder: Path) -> None:
    """One worker in this process. ``folder``: private (0700), for its socket and the application's."""
    ending = worker.Ending()
    ending.on_signals()
    plan = Plan(config=config, offers_local_models=True)
    if not application.wanted(config):
        await worker.run(plan, secrets, ending, lambda port: announce_listening(config, port))
        return
    socket = str(folder / f"{plan.tag}.sock")
    beside = application.Application(config, secrets, folder, [socket])
    plan = replace(plan, sockets={plan.tag: socket}, application=beside.beside)
    problem: ConfigError | None = None
    async with asyncio.TaskGroup() as group:

        def listening(port: int) -> None:
            announce_listening(config, port)
            beside.start(group)

        try:
            await worker.run(plan, secrets, ending, listening)
        except ConfigError as error:
            # Said as it is, not as part of a group.
            problem = error
        # After the calls, so that it sees how they ended.
        await beside.end()
    if problem is not None:
        raise problem
