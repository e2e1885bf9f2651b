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
import socket
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from aiohttp import web

from vivavoz import assembly
from vivavoz.assembly import Plan
from vivavoz.call.registry import CallRegistry
from vivavoz.children import CANNOT_START
from vivavoz.config import ConfigError, Secrets, Testing, load_secrets
from vivavoz.engines.ports import Engines
from vivavoz.media.engine import LeanEngine
from vivavoz.media.opus import OpusError
from vivavoz.media.tcp import TcpPortError
from vivavoz.server import tls
from vivavoz.server.app import build_app
from vivavoz.server.engine_pool import EnginePool
from vivavoz.server.protocol import JsonRunner
from vivavoz.server.stage_metrics import StageMetrics
from vivavoz.telemetry import export as telemetry

if TYPE_CHECKING:
    from vivavoz.testing.harness import Harness

log = logging.getLogger("vivavoz")

_SHUTDOWN_S = 2.0
"""How long connections may take to end once the calls have."""


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
    sets = assembly.engine_sets(plan)
    pool = EnginePool(config, sets)
    harness = (test_mode or _test_mode)(config.testing, sets[config.default_engines])
    if harness is not None and len(plan.sockets) > 1:
        raise ConfigError("the script's [faults] are counted in one worker: --workers 1")
    network = assembly.media_config(config)
    media = LeanEngine(network) if harness is None else harness.media(network)
    prompts = assembly.prompts_of(config)
    async with contextlib.AsyncExitStack() as stack:
        if harness is not None:
            stack.callback(harness.close)
        spans = telemetry.from_environment(os.environ)
        if spans is not None:
            stack.push_async_callback(spans.close)
        tap = harness.open_tap if harness is not None else None
        stages = StageMetrics(plan.tag)
        told = [lambda call_id: stages] if spans is None else [lambda call_id: stages, spans.listener]
        calls = await stack.enter_async_context(
            CallRegistry(
                pool.engines_for,
                assembly.call_settings(config),
                plan.tag,
                tap,
                assembly.mcp_servers(config),
                prompts,
                told,
            )
        )
        service = assembly.service(plan, secrets, pool, calls, media)
        service.stages = stages
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
        runner = JsonRunner(build_app(service, assembly.product_side(plan)), shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        port = await _listen(runner, plan, context)
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(pool.run())
            listening(port)
            looking = group.create_task(_name_local_models(plan, port))
            saying = group.create_task(service.placement.keep_saying())
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
            saying.cancel()
    log.info("ended")


async def _name_local_models(plan: Plan, port: int) -> None:
    """Servers that could serve as language model are offered by name, never used unasked."""
    if not plan.offers_local_models:
        return
    from vivavoz.engines.remote.local import probe_local

    for found in await probe_local(skip_ports={port}):
        log.info("%s could be the language model: see [engines] in docs/configuration.md", found)


def _test_mode(testing: Testing, engines: Engines) -> Harness | None:
    """Nothing of it stands in the way where nothing of it is asked for."""
    from vivavoz.testing.harness import Harness

    harness = Harness(testing, engines)
    if harness.faults:
        names = [name for name in harness.faults.__struct_fields__ if getattr(harness.faults, name)]
        log.warning("the script lets things go wrong: %s", ", ".join(names))
    return None if harness.idle else harness


async def _listen(runner: JsonRunner, plan: Plan, context: Any) -> int:
    """Open the TCP and, where there are several workers, the unix socket. The TCP port in use."""
    server = plan.config.server
    shared = len(plan.sockets) > 1
    try:
        if server.host == "::":
            # asyncio would leave IPv4 out.
            listener = socket.create_server(
                ("::", server.port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=shared
            )
            await web.SockSite(runner, listener, ssl_context=context).start()
        else:
            await web.TCPSite(
                runner, server.host, server.port, ssl_context=context, reuse_port=shared or None
            ).start()
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
