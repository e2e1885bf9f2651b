"""Keys of the service: from the environment or from files named there, never from the TOML file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from vivavoz.config.errors import ConfigError


class Secrets:
    """Keys of the service. Not a struct: nothing shall print or encode them by accident."""

    __slots__ = ("api_keys", "token_secret")

    def __init__(self, api_keys: tuple[str, ...] = (), token_secret: str | None = None) -> None:
        self.api_keys = api_keys
        self.token_secret = token_secret

    def __repr__(self) -> str:
        return f"Secrets(api_keys={len(self.api_keys)}, token_secret={self.token_secret is not None})"


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
