"""Secrets of the application: from the environment or from files named there, and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vivavoz.app.errors import SetupError

AZURE_KEY = "AZURE_OPENAI_API_KEY"
OPENAI_KEY = "OPENAI_API_KEY"
VIVAVOZ_KEY = "VIVAVOZ_APP_UPSTREAM_KEY"
"""The key of a vivavoz at another address."""
OPERATOR_KEYS = "VIVAVOZ_APP_KEY"
"""Keys, separated by commas, that make whoever shows one an operator."""
OIDC_SECRET = "VIVAVOZ_APP_OIDC_SECRET"


def secret(environment: Mapping[str, str], name: str) -> str | None:
    """The value of ``name``, or what the file that ``name_FILE`` names holds. Raises SetupError."""
    if value := environment.get(name, "").strip():
        return value
    path = environment.get(name + "_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{name}_FILE: cannot read {path}: {type(error).__name__}") from error


def operator_keys(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Raises SetupError."""
    written = (secret(environment, OPERATOR_KEYS) or "").split(",")
    keys = tuple(key.strip() for key in written if key.strip())
    if any(len(key) < 8 for key in keys):
        raise SetupError(f"{OPERATOR_KEYS}: a key has at least 8 characters")
    return keys
