"""What a worker is told, and what it is made of: each part as the configuration wants it, not started."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web

from vivavoz.app.page import page_routes
from vivavoz.call.prompts import PromptError, Prompts
from vivavoz.call.prompts import load as load_prompts
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings
from vivavoz.cluster.directory import Directory, LocalDirectory, WorkerDirectory
from vivavoz.cluster.load import Load, LoadBoard, PlaceByLoad
from vivavoz.config import Config, ConfigError, Secrets
from vivavoz.config.tables import Turn
from vivavoz.engines.build import build_engines
from vivavoz.engines.mcp import Policy, tool_servers
from vivavoz.engines.ports import EngineError, Engines, ToolServers
from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.server.admission import Admission
from vivavoz.server.application import application_routes
from vivavoz.server.auth import Authenticator
from vivavoz.server.engine_pool import EnginePool
from vivavoz.server.entra import EntraTokens
from vivavoz.server.guard import binds_loopback_only
from vivavoz.server.guesses import Guesses
from vivavoz.server.health import takes_calls
from vivavoz.server.ports import OpenCall
from vivavoz.server.sealing import Sealer, sealing_secrets
from vivavoz.server.service import Service
from vivavoz.server.store import FileStore
from vivavoz.server.tokens import Tokens
from vivavoz.session.backchannels import BACK_CHANNELS
from vivavoz.session.state import Yielding
from vivavoz.transports.dialect import Dialect
from vivavoz.transports.webrtc import WebRtcTransport
from vivavoz.wire.grants import Filter


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


def service(
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
    made = Service(
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
        media=media,
    )
    if len(plan.sockets) > 1:
        board = LoadBoard(Path(plan.sockets[plan.tag]).parent / "load")
        made.placement = PlaceByLoad(board, directory, lambda: Load(len(calls), takes_calls(made)))
    return made


def engine_sets(plan: Plan) -> dict[str, Engines]:
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


def prompts_of(config: Config) -> Prompts:
    folder = config.server.prompts_dir
    try:
        return load_prompts(Path(folder).expanduser()) if folder else Prompts()
    except PromptError as error:
        raise ConfigError(str(error)) from error


def mcp_servers(config: Config) -> ToolServers | None:
    """Who asks MCP servers; None: nobody may, or can."""
    if not config.mcp.enabled:
        return None
    return tool_servers(Policy(hosts=config.mcp.hosts, networks=config.mcp.networks))


def media_config(config: Config) -> MediaConfig:
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


def _yielding(turn: Turn) -> Yielding | None:
    if turn.barge_in == "at_once":
        return None
    phrases = BACK_CHANNELS if turn.back_channels is None else turn.back_channels
    return Yielding(words=turn.interrupt_words, resume_after_ms=turn.resume_after_ms, back_channels=phrases)


def call_settings(config: Config) -> CallSettings:
    return CallSettings(
        sessions=config.limits.sessions,
        session_seconds=config.limits.session_seconds,
        input_ms=config.limits.input_ms,
        replay_bytes=config.limits.replay_bytes,
        reject_echo=config.turn.reject_echo,
        interrupt_after_ms=config.turn.interrupt_after_ms,
        yielding=_yielding(config.turn),
        speculate=config.turn.speculate,
        tokens_per_minute=config.limits.tokens_per_minute,
        transcribers=config.deployments if config.server.strict_azure else None,
        # Azure sends none (recorded).
        tells_rate_limits=not config.server.strict_azure,
        drain_seconds=config.server.drain_seconds,
        deterministic=config.testing.deterministic,
        trace_dir=Path(config.server.trace_dir) if config.server.trace_dir else None,
    )


def product_side(plan: Plan) -> list[web.RouteDef]:
    """The page comes from here, so that it is there at once; the rest is the application's. A page that talks
    to another service is the application's as well: it knows what that page may connect to."""
    if plan.application is None:
        return []
    socket = Path(plan.application.socket)
    if plan.config.app.upstream != "vivavoz":
        return list(application_routes(socket, page=True))
    return [*page_routes(), *application_routes(socket, page=False)]
