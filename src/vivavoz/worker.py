"""One worker: everything put together, from the configuration to a service that answers and ends cleanly.

Run by :mod:`vivavoz.serve` in its own process, or as ``python -m vivavoz.worker`` under a supervisor that
writes the plan to its standard input and keeps that pipe open: its end means that the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from aiohttp import web

from vivavoz.app.page import page_routes
from vivavoz.call.prompts import PromptError, Prompts
from vivavoz.call.prompts import load as load_prompts
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings
from vivavoz.children import CANNOT_START
from vivavoz.cluster.directory import Directory, LocalDirectory, WorkerDirectory
from vivavoz.config import Config, ConfigError, Secrets, Testing, load_secrets
from vivavoz.engines.build import build_engines
from vivavoz.engines.mcp import Policy, tool_servers
from vivavoz.engines.ports import EngineError, Engines, ToolServers
from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.opus import OpusError
from vivavoz.media.tcp import TcpPortError
from vivavoz.server import tls
from vivavoz.server.admission import Admission
from vivavoz.server.app import build_app
from vivavoz.server.application import application_routes
from vivavoz.server.auth import Authenticator
from vivavoz.server.engine_pool import EnginePool
from vivavoz.server.entra import EntraTokens
from vivavoz.server.guard import binds_loopback_only
from vivavoz.server.guesses import Guesses
from vivavoz.server.ports import OpenCall
from vivavoz.server.protocol import JsonRunner
from vivavoz.server.sealing import Sealer, sealing_secrets
from vivavoz.server.service import Service
from vivavoz.server.store import FileStore
from vivavoz.server.tokens import Tokens
from vivavoz.telemetry import export as telemetry
from vivavoz.transports.dialect import Dialect
from vivavoz.transports.webrtc import WebRtcTransport
from vivavoz.wire.grants import Filter

if TYPE_CHECKING:
    from vivavoz.testing.harness import Harness

log = logging.getLogger("vivavoz")

_SHUTDOWN_S = 2.0
"""How long connections may take to end once the calls have."""


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """The application's process."""

    socket: str
    """Unix socket on which it listens."""
    key: str
    """What it shows to the service. Made at every start."""

    def __repr__(self) -> str:
        return f"Beside({self.socket})"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told. ``config`` names the real ports and the default engine set by now."""

    config: Config
    tag: str = "00"
    sockets: dict[str, str] = {}
    """Unix sockets of all workers, by tag, for each other and for the application."""
    application: Beside | None = None
    """None: there is no application, and no page."""
    offers_local_models: bool = False
    """Look for language model servers on this machine, and name them in the log."""
    engine_sockets: dict[str, str] = {}
    """Folders of the sockets of engine processes that the supervisor owns, by engine set."""


class Ending:
    """What ends a worker. The second request does not wait for anything."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def ask(self) -> None:
        if self._asked.is_set():
            log.warning("asked to end a second time: ending at once")
            logging.shutdown()
            os._exit(0)
        self._asked.set()

    async def wait(self) -> None:
        await self._asked.wait()

    def on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)


async def run(
    plan: Plan,
    secrets: Secrets,
    ending: Ending,
    listening: Callable[[int], None],
    test_mode: Callable[[Testing, Engines], Harness | None] | None = None,
) -> None:
    """Serve until ``ending``. ``listening`` is told the HTTP port once it answers; engines may still load.
    ``test_mode`` makes the harness, given the default engines; None: as the configuration wants it.

    Raises ConfigError where it cannot start.
    """
    config = plan.config
    context = tls.server_context(tls.certificate(config)) if config.tls.enabled else None
    sets = _engine_sets(plan)
    pool = EnginePool(config, sets)
    harness = (test_mode or _test_mode)(config.testing, sets[config.default_engines])
    if harness is not None and len(plan.sockets) > 1:
        raise ConfigError("the script's [faults] are counted in one worker: --workers 1")
    media = LeanEngine(_media_config(config)) if harness is None else harness.media(_media_config(config))
    prompts = _prompts(config)
    async with contextlib.AsyncExitStack() as stack:
        if harness is not None:
            stack.callback(harness.close)
        spans = telemetry.from_environment(os.environ)
        if spans is not None:
            stack.push_async_callback(spans.close)
        tap = harness.open_tap if harness is not None else None
        calls = await stack.enter_async_context(
            CallRegistry(
                pool.engines_for,
                call_settings(config),
                plan.tag,
                tap,
                _tool_servers(config),
                prompts,
                spans.listener if spans is not None else None,
            )
        )
        service = _service(plan, secrets, pool, calls, media)
        service.filled = prompts.filled_session
        if harness is not None:
            service.admit = harness.admit
            if config.testing.deterministic:
                service.new_session_id = harness.session_id
        try:
            await media.start()
        except OpusError as error:
            raise ConfigError(str(error)) from error
        except TcpPortError as error:
            port = config.server.tcp_media_port or 0
            raise cannot_bind("TCP", config.server.host, port, error, "--tcp-media-port") from error
        except OSError as error:
            raise cannot_bind("UDP", config.server.host, config.udp_port, error, "--udp-port") from error
        stack.push_async_callback(media.stop)
        runner = JsonRunner(build_app(service, _product_side(plan)), shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        port = await _listen(runner, plan, context)
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(pool.run())
            listening(port)
            looking = group.create_task(_name_local_models(plan, port))
            await ending.wait()
            looking.cancel()
            service.draining = True
            log.info(
                "ending: no new calls; %d calls have up to %.0f s", len(calls), config.server.drain_seconds
            )
            await calls.drain(config.server.drain_seconds)
            # While their connections are still there to be told.
            await calls.close()
            loading.cancel()
    log.info("ended")


async def _name_local_models(plan: Plan, port: int) -> None:
    """Servers that could serve as language model are offered by name, never used unasked."""
    if not plan.offers_local_models:
        return
    from vivavoz.engines.remote.local import probe_local

    for found in await probe_local(skip_ports={port}):
        log.info("%s could be the language model: see [engines] in docs/configuration.md", found)


def _service(
    plan: Plan, secrets: Secrets, pool: EnginePool, calls: CallRegistry, media: LeanEngine
) -> Service:
    config = plan.config
    sealing = sealing_secrets(secrets, config.state_dir)
    store = FileStore(
        config.state_dir / "sessions",
        max_entries=config.limits.stored_sessions,
        max_bytes=config.limits.stored_bytes,
    )
    tokens = Tokens(Sealer(sealing, "vivavoz client secrets"), store)

    def accept(offer: str, call: OpenCall, filtered: Filter, dialect: Dialect) -> str:
        return WebRtcTransport.accept(media, offer, call, filter=filtered, dialect=dialect)

    directory: Directory = LocalDirectory()
    if len(plan.sockets) > 1:
        directory = WorkerDirectory(plan.tag, {tag: Path(path) for tag, path in plan.sockets.items()})
    return Service(
        config=config,
        auth=Authenticator(
            secrets.api_keys,
            tokens,
            internal_key=plan.application.key if plan.application else None,
            entra=EntraTokens.from_config(config),
            strict_azure=config.server.strict_azure,
            guesses=Guesses(config.limits.wrong_credentials),
        ),
        tokens=tokens,
        engines=pool,
        calls=calls,
        accept=accept,
        directory=directory,
        admission=Admission(config.limits.pace_ms, lambda: media.late_ms, lambda: len(calls)),
    )


def _test_mode(testing: Testing, engines: Engines) -> Harness | None:
    """Nothing of it stands in the way where nothing of it is asked for."""
    from vivavoz.testing.harness import Harness

    harness = Harness(testing, engines)
    if harness.faults:
        names = [name for name in harness.faults.__struct_fields__ if getattr(harness.faults, name)]
        log.warning("the script lets things go wrong: %s", ", ".join(names))
    return None if harness.idle else harness


def _engine_sets(plan: Plan) -> dict[str, Engines]:
    sets = {}
    for name in plan.config.engine_sets_in_use():
        sockets = plan.engine_sockets.get(name)
        try:
            sets[name] = build_engines(
                plan.config.engine_set(name), sockets=Path(sockets) if sockets else None
            )
        except EngineError as error:
            raise ConfigError(f"engines {name}: {error.message}") from error
    return sets


def _prompts(config: Config) -> Prompts:
    folder = config.server.prompts_dir
    try:
        return load_prompts(Path(folder).expanduser()) if folder else Prompts()
    except PromptError as error:
        raise ConfigError(str(error)) from error


def _tool_servers(config: Config) -> ToolServers | None:
    """Who asks MCP servers; None: nobody may, or can."""
    if not config.mcp.enabled:
        return None
    return tool_servers(Policy(hosts=config.mcp.hosts, networks=config.mcp.networks))


def _media_config(config: Config) -> MediaConfig:
    local = config.server.local_media and binds_loopback_only(config.server.host)
    return MediaConfig(
        host=_any_address(config.server.host) if local else config.server.host,
        local_only=local,
        port=config.udp_port,
        tcp_port=config.server.tcp_media_port,
        advertise=config.server.advertise,
        max_calls=config.limits.sessions,
    )


def _any_address(loopback: str) -> str:
    """All addresses, of IPv6 too where the loopback address is one."""
    return "::" if ":" in loopback else "0.0.0.0"


def call_settings(config: Config) -> CallSettings:
    return CallSettings(
        sessions=config.limits.sessions,
        session_seconds=config.limits.session_seconds,
        input_ms=config.limits.input_ms,
        replay_bytes=config.limits.replay_bytes,
        reject_echo=config.turn.reject_echo,
        interrupt_after_ms=config.turn.interrupt_after_ms,
        tokens_per_minute=config.limits.tokens_per_minute,
        transcribers=config.deployments if config.server.strict_azure else None,
        # Azure sends none (recorded).
        tells_rate_limits=not config.server.strict_azure,
        drain_seconds=config.server.drain_seconds,
        deterministic=config.testing.deterministic,
        trace_dir=Path(config.server.trace_dir) if config.server.trace_dir else None,
    )


def _product_side(plan: Plan) -> list[web.RouteDef]:
    """The page comes from here, so that it is there at once; the rest is the application's. A page that talks
    to another service is the application's as well: it knows what that page may connect to."""
    if plan.application is None:
        return []
    socket = Path(plan.application.socket)
    if plan.config.app.upstream != "vivavoz":
        return list(application_routes(socket, page=True))
    return [*page_routes(), *application_routes(socket, page=False)]


async def _listen(runner: JsonRunner, plan: Plan, context: Any) -> int:
    """Open the TCP and, where there are several workers, the unix socket. The TCP port in use."""
    server = plan.config.server
    shared = len(plan.sockets) > 1
    site = web.TCPSite(runner, server.host, server.port, ssl_context=context, reuse_port=shared or None)
    try:
        await site.start()
    except OSError as error:
        raise cannot_bind("TCP", server.host, server.port, error, "--port") from error
    port = int(runner.addresses[0][1])
    if plan.tag in plan.sockets:
        # In a directory of mode 0700: only this user's processes can connect.
        path = plan.sockets[plan.tag]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        await web.UnixSite(runner, path).start()
    return port


def cannot_bind(kind: str, host: str, port: int, error: OSError, flag: str) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"{kind} port {port} on {host} is in use: choose another with {flag}")
    return ConfigError(f"cannot listen on {host}, {kind} port {port}: {error.strerror or error}")


# --------------------------------------------------------------------------- under a supervisor


async def _supervised() -> None:
    plan = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.readline), type=Plan)
    set_up_logging(plan.config.server.log_level, plan.tag)
    ending = Ending()
    ending.on_signals()
    async with asyncio.TaskGroup() as group:
        orphaned = group.create_task(_watch_supervisor(ending))

        def listening(port: int) -> None:
            print("listening", flush=True)  # noqa: T201 - read by the supervisor

        await run(plan, load_secrets(), ending, listening)
        orphaned.cancel()


async def _watch_supervisor(ending: Ending) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    log.warning("the supervisor is gone: ending")
    ending.ask()


def set_up_logging(level: str, tag: str = "") -> None:
    """One line an entry, on stderr."""
    who = f" [{tag}]" if tag else ""
    logging.basicConfig(
        level=level.upper(), format=f"%(asctime)s %(levelname)s{who} %(name)s: %(message)s", stream=sys.stderr
    )
    # It would print what strangers send.
    warnings.filterwarnings("ignore", category=aiohttp.BadContentDispositionHeader)
    warnings.filterwarnings("ignore", category=aiohttp.BadContentDispositionParam)
    web_clients = ("aiohttp", "httpx", "httpcore", "httpx2", "httpcore2", "mcp", "openai")
    for noisy in ("asyncio", "aioice", "aiortc", *web_clients):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


def run_in_loop(main: Any) -> None:
    """``asyncio.run`` on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _main() -> int:
    code = 0
    try:
        run_in_loop(_supervised())
    except* ConfigError as group:
        log.error("%s", "; ".join(map(str, group.exceptions)))
        code = CANNOT_START
    return code


if __name__ == "__main__":
    sys.exit(_main())
