"""What can be configured, and where it comes from: a TOML file, then the environment, then flags.

Secrets (:class:`Secrets`) come from the environment or from files named there, never from the TOML file, and
never show in a ``repr``.
"""

from vivavoz.config.errors import ConfigError
from vivavoz.config.secrets import Secrets, load_secrets
from vivavoz.config.sources import ENVIRONMENT, load, unknown_variables
from vivavoz.config.tables import (
    AZURE_AUDIENCES,
    DEFAULT_MODEL,
    KNOWN_MODELS,
    Config,
    Entra,
    Limits,
    Mcp,
    Model,
    Server,
    Testing,
    Tls,
)

__all__ = [
    "AZURE_AUDIENCES",
    "DEFAULT_MODEL",
    "ENVIRONMENT",
    "KNOWN_MODELS",
    "Config",
    "ConfigError",
    "Entra",
    "Limits",
    "Mcp",
    "Model",
    "Secrets",
    "Server",
    "Testing",
    "Tls",
    "load",
    "load_secrets",
    "unknown_variables",
]
