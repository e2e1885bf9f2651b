"""What is wrong with a configuration."""


class ConfigError(Exception):
    """The configuration cannot be used; the message says where and what is expected."""
