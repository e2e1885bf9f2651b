"""Where values come from: a TOML file, then the environment, then flags.

Later layers win. Every layer is checked by itself, so that an error names the file, the variable or the flag
it came from, and the key in it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from vivavoz.app.config import App
from vivavoz.config.checks import problems
from vivavoz.config.errors import ConfigError
from vivavoz.config.tables import Config, Limits


def _variables(prefix: str, table: type[msgspec.Struct], path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """A variable for every key of a table and of the tables in it."""
    found: dict[str, tuple[str, ...]] = {}
    for field in msgspec.structs.fields(table):
        name, inner = prefix + field.name.upper(), (*path, field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= _variables(name + "_", field.type, inner)
        else:
            found[name] = inner
    return found


ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "VIVAVOZ_HOST": ("server", "host"),
    "VIVAVOZ_PORT": ("server", "port"),
    "VIVAVOZ_UDP_PORT": ("server", "udp_port"),
    "VIVAVOZ_TCP_MEDIA_PORT": ("server", "tcp_media_port"),
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
    "VIVAVOZ_REJECT_ECHO": ("turn", "reject_echo"),
    "VIVAVOZ_INTERRUPT_AFTER_MS": ("turn", "interrupt_after_ms"),
    "VIVAVOZ_BARGE_IN": ("turn", "barge_in"),
    "VIVAVOZ_INTERRUPT_WORDS": ("turn", "interrupt_words"),
    "VIVAVOZ_RESUME_AFTER_MS": ("turn", "resume_after_ms"),
    "VIVAVOZ_BACK_CHANNELS": ("turn", "back_channels"),
    "VIVAVOZ_SPECULATE": ("turn", "speculate"),
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
    **_variables("VIVAVOZ_APP_", App, ("app",)),
}
"""Environment variables and the keys they set. Lists are separated by commas."""


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


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """``VIVAVOZ_…`` variables that mean nothing here: most likely misspelt."""
    environment = os.environ if environment is None else environment
    secrets = (
        "VIVAVOZ_API_KEY",
        "VIVAVOZ_TOKEN_SECRET",
        "VIVAVOZ_APP_KEY",
        "VIVAVOZ_APP_UPSTREAM_KEY",
        "VIVAVOZ_APP_OIDC_SECRET",
    )
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
    if isinstance(value, str) and get_origin(_type_at(path)) is tuple:
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
    for problem in problems(config):
        raise ConfigError(f"{origin}: {problem}")
