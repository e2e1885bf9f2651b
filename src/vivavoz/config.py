"""What can be configured, and where it comes from: a TOML file, then the environment, then flags.

Later layers win. Every layer is checked by itself, so that an error names the file, the variable or the flag
it came from, and the key in it. Secrets (:class:`Secrets`) come from the environment or from files named
there, never from the TOML file, and never show in a ``repr``.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

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


class ConfigError(Exception):
    """The configuration cannot be used; the message says where and what is expected."""


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the service listens and ends."""

    host: str = "127.0.0.1"
    port: Port = 8080
    udp_port: Port | None = None
    """Port of the media (UDP); None: the same number as ``port``. Worker *i* uses ``udp_port + i``."""
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
    session_seconds: Annotated[float, Meta(gt=0)] = 3600.0
    input_ms: Annotated[int, Meta(ge=1000)] = 300_000
    """A caller's sound that is not committed yet, and so the longest turn (ms)."""
    token_seconds: Annotated[int, Meta(ge=10, le=7200)] | None = None
    """Life of a client secret whose request names none; None: 600, or Azure's 7200 where that is imitated."""
    stored_sessions: Count = 10_000
    """Session configurations too long for a token, kept until the token expires."""
    stored_bytes: Bytes = 256 * MIB
    sidebands: Count = 16
    """Sideband connections to one call."""


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
    testing: Testing = Testing()
    mcp: Mcp = Mcp()
    default_engines: str = "auto"
    """A set's name; ``auto``: ``embedded`` where its packages are installed, else ``scripted``."""
    script: str | None = None
    """Conversation script of the built-in scripted set."""
    default_model: str = DEFAULT_MODEL
    strict_models: bool = False
    """True: model names that are neither known nor configured are refused with 404."""
    models: dict[str, Model] = {}
    engines: dict[str, EngineSet] = {}

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


class Secrets:
    """Keys of the service. Not a struct: nothing shall print or encode them by accident."""

    __slots__ = ("api_keys", "token_secret")

    def __init__(self, api_keys: tuple[str, ...] = (), token_secret: str | None = None) -> None:
        self.api_keys = api_keys
        self.token_secret = token_secret

    def __repr__(self) -> str:
        return f"Secrets(api_keys={len(self.api_keys)}, token_secret={self.token_secret is not None})"


# --------------------------------------------------------------------------- where values come from

ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "VIVAVOZ_HOST": ("server", "host"),
    "VIVAVOZ_PORT": ("server", "port"),
    "VIVAVOZ_UDP_PORT": ("server", "udp_port"),
    "VIVAVOZ_LOCAL_MEDIA": ("server", "local_media"),
    "VIVAVOZ_ADVERTISE": ("server", "advertise"),
    "VIVAVOZ_WORKERS": ("server", "workers"),
    "VIVAVOZ_LOG_LEVEL": ("server", "log_level"),
    "VIVAVOZ_STATE_DIR": ("server", "state_dir"),
    "VIVAVOZ_DRAIN_SECONDS": ("server", "drain_seconds"),
    "VIVAVOZ_TRACE_DIR": ("server", "trace_dir"),
    "VIVAVOZ_PROMPTS_DIR": ("server", "prompts_dir"),
    "VIVAVOZ_PAGE": ("server", "page"),
    "VIVAVOZ_ALLOWED_HOSTS": ("server", "allowed_hosts"),
    "VIVAVOZ_ALLOWED_ORIGINS": ("server", "allowed_origins"),
    "VIVAVOZ_STRICT_AZURE": ("server", "strict_azure"),
    "VIVAVOZ_ENTRA_JWKS": ("entra", "jwks"),
    "VIVAVOZ_ENTRA_TENANTS": ("entra", "tenants"),
    "VIVAVOZ_ENTRA_ISSUERS": ("entra", "issuers"),
    "VIVAVOZ_ENTRA_AUDIENCES": ("entra", "audiences"),
    "VIVAVOZ_ENTRA_PRINCIPALS": ("entra", "principals"),
    "VIVAVOZ_TLS": ("tls", "enabled"),
    "VIVAVOZ_TLS_CERT": ("tls", "cert"),
    "VIVAVOZ_TLS_KEY": ("tls", "key"),
    "VIVAVOZ_DETERMINISTIC": ("testing", "deterministic"),
    "VIVAVOZ_EVENT_LOG": ("testing", "event_log"),
    "VIVAVOZ_TIME": ("testing", "time"),
    "VIVAVOZ_MCP": ("mcp", "enabled"),
    "VIVAVOZ_MCP_HOSTS": ("mcp", "hosts"),
    "VIVAVOZ_MCP_NETWORKS": ("mcp", "networks"),
    "VIVAVOZ_ENGINES": ("default_engines",),
    "VIVAVOZ_SCRIPT": ("script",),
    "VIVAVOZ_DEFAULT_MODEL": ("default_model",),
    "VIVAVOZ_STRICT_MODELS": ("strict_models",),
    **{f"VIVAVOZ_LIMIT_{name.upper()}": ("limits", name) for name in Limits.__struct_fields__},
}
"""Environment variables and the keys they set. Lists are separated by commas."""

_LISTS = {
    ("server", "advertise"),
    ("server", "allowed_hosts"),
    ("server", "allowed_origins"),
    ("entra", "tenants"),
    ("entra", "issuers"),
    ("entra", "audiences"),
    ("entra", "principals"),
    ("mcp", "hosts"),
    ("mcp", "networks"),
}


def load(
    file: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[tuple[str, ...], Any] | None = None,
) -> Config:
    """Put the layers together. ``flags`` maps key paths to values as given on the command line (strings are
    converted; None means not given). Raises ConfigError."""
    environment = os.environ if environment is None else environment
    file = file or environment.get("VIVAVOZ_CONFIG") or None
    merged: dict[str, Any] = {}
    if file is not None:
        merged = _read_file(Path(file))
        _convert(merged, str(file))
    for variable, path in ENVIRONMENT.items():
        if environment.get(variable):
            _put(merged, path, _lenient(environment[variable], path, variable))
    for path, value in (flags or {}).items():
        if value is not None:
            _put(merged, path, _lenient(value, path, _flag(path)))
    config = _convert(merged, str(file) if file else "configuration")
    _check(config, str(file) if file else "configuration")
    return config


def load_secrets(environment: Mapping[str, str] | None = None) -> Secrets:
    """Read ``VIVAVOZ_API_KEY`` (several separated by commas; the first one seals tokens) and
    ``VIVAVOZ_TOKEN_SECRET``, or the files that ``…_FILE`` names. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    keys = tuple(filter(None, (part.strip() for part in _secret(environment, "VIVAVOZ_API_KEY").split(","))))
    for key in keys:
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ConfigError("VIVAVOZ_API_KEY: a key may hold visible ASCII characters only, no spaces")
        if key.startswith("ek_"):
            raise ConfigError("VIVAVOZ_API_KEY: a key may not begin with 'ek_', client secrets do")
    return Secrets(keys, _secret(environment, "VIVAVOZ_TOKEN_SECRET") or None)


def _secret(environment: Mapping[str, str], name: str) -> str:
    if environment.get(name):
        return environment[name].strip()
    path = environment.get(name + "_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_FILE: cannot read {path}: {error}") from error


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """``VIVAVOZ_…`` variables that mean nothing here: most likely misspelt."""
    environment = os.environ if environment is None else environment
    secrets = ("VIVAVOZ_API_KEY", "VIVAVOZ_TOKEN_SECRET")
    known = {*ENVIRONMENT, *secrets, *(name + "_FILE" for name in secrets), "VIVAVOZ_CONFIG"}
    known_prefixes = (
        "VIVAVOZ_CACHE",
        "VIVAVOZ_MODELS",
        "VIVAVOZ_ALLOW_HUB",
        "VIVAVOZ_CHROMIUM",
        "VIVAVOZ_TEST_",
    )
    return sorted(
        name
        for name in environment
        if name.startswith("VIVAVOZ_") and name not in known and not name.startswith(known_prefixes)
    )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _convert(values: dict[str, Any], origin: str) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {_readable(str(error))}") from None


def _readable(message: str) -> str:
    """``Expected `int`, got `str` - at `$.server.port``` -> ``server.port: expected `int`, got `str```."""
    what, separator, where = message.partition(" - at `")
    what = what[:1].lower() + what[1:]
    if not separator:
        return what
    return f"{where.rstrip('`').removeprefix('$').lstrip('.')}: {what}"


def _flag(path: tuple[str, ...]) -> str:
    spelt = {
        ("tls", "enabled"): "tls",
        ("default_engines",): "engines",
        ("server", "trace_dir"): "trace",
    }
    return "--" + spelt.get(path, path[-1]).replace("_", "-")


def _type_at(path: tuple[str, ...]) -> Any:
    struct: Any = Config
    for name in path:
        struct = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
    return struct


def _lenient(value: Any, path: tuple[str, ...], origin: str) -> Any:
    """Convert what an environment variable or a flag says; text becomes the key's own type."""
    if path in _LISTS and isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, str) and value.lower() in ("yes", "on", "no", "off") and _type_at(path) is bool:
        value = value.lower() in ("yes", "on")
    try:
        return msgspec.convert(value, _type_at(path), strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {_readable(str(error))}") from None


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _check(config: Config, origin: str) -> None:
    """What types alone cannot say."""
    for problem in _problems(config):
        raise ConfigError(f"{origin}: {problem}")


def _problems(config: Config) -> Iterator[str]:
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
