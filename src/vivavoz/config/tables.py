"""What can be configured: the tables of the TOML file, with their defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vivavoz.app.config import App
from vivavoz.config.errors import ConfigError
from vivavoz.engines.spec import BUILT_IN_SETS, MULTILINGUAL, EngineSet

MIB = 1024 * 1024

DEFAULT_MODEL = "gpt-realtime"
"""What a session is called whose client names no model."""

KNOWN_MODELS: tuple[str, ...] = (
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06",
    "gpt-realtime-mini-2025-12-15",
    "gpt-realtime-1.5",
    "gpt-realtime-1.5-2026-02-23",
    "gpt-4o-realtime-preview",
    "gpt-4o-realtime-preview-2024-10-01",
    "gpt-4o-realtime-preview-2024-12-17",
    "gpt-4o-realtime-preview-2025-06-03",
    "gpt-4o-mini-realtime-preview",
    "gpt-4o-mini-realtime-preview-2024-12-17",
)
"""Names that clients of the hosted services use; they work without configuration, strict or not."""

Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1024)]
Seconds = Annotated[float, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the service listens and ends."""

    host: str = "127.0.0.1"
    port: Port = 8080
    udp_port: Port | None = None
    """Port of the media (UDP); None: the same number as ``port``. Worker *i* uses ``udp_port + i``."""
    tcp_media_port: Port | None = None
    """A TCP port for the media of callers whom no UDP reaches; None: there is none. Worker *i* uses
    ``tcp_media_port + i``. HTTP has a port of its own."""
    local_media: bool = False
    """With a loopback ``host``: take media on all of this machine's addresses, from itself only. Firefox
    needs it, since it never sends to 127.0.0.1."""
    advertise: tuple[str, ...] = ()
    """Addresses named to WebRTC peers instead of the interfaces' own (containers, NAT)."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    state_dir: str | None = None
    """Local secrets, certificates and long session configurations; None: ``$XDG_STATE_HOME/vivavoz``."""
    drain_seconds: Seconds = 8.0
    """How long calls may go on after SIGTERM."""
    ready_wait_seconds: Seconds = 5.0
    """How long a new call waits for engines that still load, before 503."""
    trace_dir: str | None = None
    """Where to record every call's inputs, to replay them. They hold words and sound: off unless set."""
    prompts_dir: str | None = None
    """Folder of prompts that clients may name (``prompt``); None: there are none."""
    page: Literal["auto", "open", "off"] = "auto"
    """``open``: the page at ``/`` gets tokens without a key. ``auto``: only where no key is configured.
    ``off``: no page at all."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names answered besides loopback while no key is configured."""
    allowed_origins: tuple[str, ...] = ()
    """Origins (``https://example.org``) answered besides loopback while no key is configured."""
    strict_azure: bool = False
    """Azure's paths, credentials and error bodies, and no others (docs/azure.md)."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HTTPS. ``enabled`` without ``cert`` makes a local certificate and keeps it in the state directory."""

    enabled: bool = False
    cert: str | None = None
    key: str | None = None


AZURE_AUDIENCES = ("https://cognitiveservices.azure.com", "https://ai.azure.com")
"""What Azure's clients ask tokens for."""


class Entra(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Microsoft Entra access tokens that count as a key."""

    jwks: str | None = None
    """File or ``https://`` URL of the public keys (JSON Web Key Set); None: such tokens are not accepted."""
    tenants: tuple[str, ...] = ()
    """Ids of the tenants whose tokens are accepted."""
    issuers: tuple[str, ...] = ()
    """Issuers that are trusted besides those of the tenants."""
    audiences: tuple[str, ...] = AZURE_AUDIENCES
    """With or without a slash or ``/.default`` at the end."""
    principals: tuple[str, ...] = ()
    """Object or application ids of those who may use the service; none: everybody in the tenants."""
    leeway_seconds: Annotated[int, Meta(ge=0, le=300)] = 30
    """By how much clocks may differ."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on everything a client can make grow; the hosted service's figures where it names one."""

    body_bytes: Bytes = 2 * MIB
    """A JSON body, and the whole of a multipart one."""
    sdp_bytes: Bytes = 64 * 1024
    event_bytes: Bytes = 15 * MIB
    """The audio of one client event; a message may be a third longer (base64) plus 64 KiB."""
    outbox_bytes: Bytes = 16 * MIB
    """Encoded events that wait for one slow WebSocket before it is closed with 1013."""
    outbox_events: Count = 8192
    sessions: Count = 100
    """Calls alive at once in one worker."""
    pace_ms: Annotated[float, Meta(ge=0)] = 20.0
    """A worker of whose packets one in a hundred leaves later than this takes no new calls; 0: it does."""
    session_seconds: Annotated[float, Meta(gt=0)] = 3600.0
    input_ms: Annotated[int, Meta(ge=1000)] = 300_000
    """A caller's sound that is not committed yet, and so the longest turn (ms)."""
    tokens_per_minute: Count | None = None
    """What the calls of one credential may use, by ``usage``; beyond it responses fail. None: no limit."""
    token_seconds: Annotated[int, Meta(ge=10, le=7200)] | None = None
    """Life of a client secret whose request names none; None: 600, or Azure's 7200 where that is imitated."""
    stored_sessions: Count = 10_000
    """Session configurations too long for a token, kept until the token expires."""
    stored_bytes: Bytes = 256 * MIB
    sidebands: Count = 16
    """Sideband connections to one call."""
    wrong_credentials: Annotated[int, Meta(ge=0)] = 60
    """Wrong credentials a minute from one address, in one worker, before it gets 429; 0: any number."""
    replay_bytes: Annotated[int, Meta(ge=0)] = 256 * 1024
    """A call's newest events, kept for observers who ask for a replay; 0: none."""


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a caller is taken to speak, beside what the session's ``turn_detection`` says."""

    reject_echo: bool = True
    """Compare the caller's sound with what was played, and take our own voice for silence (WebRTC)."""
    interrupt_after_ms: Annotated[int, Meta(ge=0, le=5_000)] = 0
    """How long a caller must have spoken before an answer is interrupted; 0: as soon as they speak."""
    barge_in: Literal["at_once", "hold"] = "at_once"
    """What speech over an answer does: it is an interruption; or the answer is held while it is found out
    whether it is one (WebRTC, with a recogniser)."""
    interrupt_words: Annotated[int, Meta(ge=1, le=20)] = 1
    """``hold``: so many words that are no back-channels are an interruption."""
    resume_after_ms: Annotated[int, Meta(ge=200, le=5_000)] = 1_000
    """``hold``: how long after the caller's last sound a held answer goes on, were nothing understood."""
    back_channels: tuple[str, ...] | None = None
    """``hold``: words and phrases that interrupt nothing; None: English and Portuguese ones."""
    speculate: Literal["auto", "always", "off"] = "auto"
    """Whether the answer is begun in secret as soon as the caller is silent, and thrown away if they go on.
    ``auto``: with engines to which that costs nothing."""


class Testing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For those who test their own application with this service (docs/testing-your-app.md)."""

    deterministic: bool = False
    """Equal input gives equal events: ids are counted, times are fixed. On loopback only."""
    event_log: str | None = None
    """File for what every call exchanges with its clients; it holds words and sound."""
    time: Literal["real", "virtual"] = "real"
    """``virtual``: the delays of the script take no time."""


class Mcp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which MCP servers clients may have asked on their behalf (docs/configuration.md)."""

    enabled: bool = True
    hosts: tuple[str, ...] = ()
    """Host names that may be asked (``mcp.example.com``, ``*.example.com``); empty: any with a public
    address."""
    networks: tuple[str, ...] = ()
    """Networks (``10.1.0.0/16``) that may be asked although they are not public, over plain http as well."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model (deployment) name and the engine set that answers for it."""

    engines: str | None = None
    """None: the default set."""
    aliases: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. ``engines`` holds the sets by name; ``default_engines`` says which one is the default."""

    server: Server = Server()
    tls: Tls = Tls()
    entra: Entra = Entra()
    limits: Limits = Limits()
    turn: Turn = Turn()
    testing: Testing = Testing()
    mcp: Mcp = Mcp()
    app: App = App()
    default_engines: str = "auto"
    """A set's name; ``auto``: ``embedded`` where its packages are installed, else ``scripted``."""
    script: str | None = None
    """Conversation script of the built-in scripted set."""
    default_model: str = DEFAULT_MODEL
    strict_models: bool = False
    """True: model names that are neither known nor configured are refused with 404."""
    models: dict[str, Model] = {}
    engines: dict[str, EngineSet] = {}

    @property
    def deployments(self) -> tuple[str, ...]:
        """Every name that a model has been given."""
        return tuple(each for name, entry in self.models.items() for each in (name, *entry.aliases))

    def engine_set_of(self, model: str) -> str | None:
        """Name of the set that answers for ``model``; None: unknown, and ``strict_models`` (``strict_azure``)
        is on."""
        for name, entry in self.models.items():
            if model == name or model in entry.aliases:
                return entry.engines or self.default_engines
        if self.server.strict_azure:
            return None
        if self.strict_models and model not in KNOWN_MODELS and model != self.default_model:
            return None
        return self.default_engines

    def transcribes_only(self, model: str) -> bool:
        """Whether the set of ``model`` has nothing that answers."""
        name = self.engine_set_of(model)
        return name is not None and self.engine_set(name).stage("llm") == "none"

    def engine_sets_in_use(self) -> tuple[str, ...]:
        """Every set that some model name leads to; the default first."""
        names = [self.default_engines]
        names += [entry.engines for entry in self.models.values() if entry.engines]
        return tuple(dict.fromkeys(names))

    def engine_set(self, name: str) -> EngineSet:
        """The set called ``name``; the built-in ones need no table. Raises ConfigError."""
        if name in self.engines:
            return self.engines[name]
        if name == "scripted":
            return EngineSet(base="scripted", script=self.script)
        if name == "embedded":
            return EngineSet(base="embedded", script=self.script)
        if name == "multilingual":
            return msgspec.structs.replace(MULTILINGUAL, script=self.script)
        known = ", ".join([*BUILT_IN_SETS, *self.engines])
        raise ConfigError(f"no engine set is called {name!r}; known: {known}")

    @property
    def state_dir(self) -> Path:
        """Raises ConfigError where there is no home to keep it in."""
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        try:
            return Path(self.server.state_dir or f"{base}/vivavoz").expanduser()
        except RuntimeError as error:
            raise ConfigError(
                "this user has no home directory: set VIVAVOZ_STATE_DIR to a folder that can be written"
            ) from error

    @property
    def token_seconds(self) -> int:
        """Life of a client secret whose request names none."""
        return self.limits.token_seconds or (7200 if self.server.strict_azure else 600)

    @property
    def udp_port(self) -> int:
        return self.server.port if self.server.udp_port is None else self.server.udp_port
