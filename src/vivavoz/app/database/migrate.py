"""Bringing a database to the shape that this version knows."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

HEAD = "0002"
"""The newest of ``migrations/versions``: a database that has it needs no Alembic, which loads slowly."""

_FOLDER = Path(__file__).parent / "migrations"


class NewerSchema(Exception):
    """The database was written by a later version."""


def migrate(connection: Connection, to: str = "head") -> None:
    """Run what is missing, in the connection's transaction. Raises NewerSchema."""
    if _revision(connection) == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise NewerSchema from error


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("select version_num from alembic_version"))
    return found
