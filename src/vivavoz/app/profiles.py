"""Named profiles: what a call is about, kept on the server (docs/profiles.md).

A TOML file with a table ``[profiles.NAME]`` each; ``session`` in it is a session object of the Realtime
reference.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vivavoz.app.errors import AppError
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.grants import Grant
from vivavoz.wire.options import SessionPatch
from vivavoz.wire.rest import decode_session

NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TOOL = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_MAX_FILE = 1024 * 1024
_MAX_PROFILES = 200
_TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}


class ProfileError(Exception):
    """A file of profiles cannot be used; the message names the file and the member."""


class _Written(Struct, forbid_unknown_fields=True):
    """A table of the file."""

    title: str = ""
    description: str = ""
    languages: tuple[str, ...] = ()
    session: dict[str, Any] = {}
    instructions_file: str | None = None
    tools: tuple[str, ...] = ()
    record: bool | None = None
    grant: dict[str, Any] = {}


class _File(Struct, forbid_unknown_fields=True):
    profiles: dict[str, _Written]


class Profile(Struct, frozen=True, kw_only=True):
    """``session`` is sent to the service, and to no browser."""

    name: str
    session: dict[str, Any]
    title: str = ""
    description: str = ""
    languages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """Functions that answer tool calls here, as ``package.module:function``."""
    record: bool | None = None
    """Whether calls are recorded; None: as configured for all."""
    grant: dict[str, Any] = {}
    """What its calls allow besides their filter (our own service only): ``client_events``, ``max_seconds``,
    ``tools``."""
    max_calls: int = 1
    """Calls that one token opens (our own service only)."""

    @property
    def model(self) -> str | None:
        model = self.session.get("model")
        return model if isinstance(model, str) and model else None


class Profiles:
    """All of them; the first, or the one named, is the default."""

    def __init__(self, profiles: Mapping[str, Profile], default: str) -> None:
        self._profiles = dict(profiles)
        self.default = default

    @classmethod
    def load(
        cls,
        path: str | Path | None,
        *,
        default: str = "default",
        model: str | None = None,
        strict: bool = False,
    ) -> Profiles:
        """``path`` None: one profile without instructions, which has the caller's words transcribed.
        ``model``: for profiles that name none.
        ``strict``: sessions hold what our own service knows, and nothing else. Raises ProfileError."""
        if path is None:
            only = Profile(name=default, session=_session(_TRANSCRIBED, model))
            return cls({default: only}, default)
        path = Path(path).expanduser()
        written = _read(path)
        profiles = {}
        for name, each in written.items():
            try:
                profiles[name] = _profile(name, each, path.parent, model, strict)
            except ValueError as error:
                raise ProfileError(f"{path}: profiles.{name}.{error}") from None
        if default not in profiles:
            if default != "default":
                known = ", ".join(profiles)
                raise ProfileError(f"{path}: the default profile '{default}' is not in it; it has: {known}")
            default = next(iter(profiles))
        return cls(profiles, default)

    def get(self, name: str | None) -> Profile:
        """None or empty: the default. Raises AppError (404)."""
        profile = self._profiles.get(name or self.default)
        if profile is None:
            raise AppError(404, f"There is no profile '{(name or '')[:40]}'.", "profile_not_found", "profile")
        return profile

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def __len__(self) -> int:
        return len(self._profiles)


def _read(path: Path) -> dict[str, _Written]:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ProfileError(f"{path}: larger than {_MAX_FILE} bytes")
        with path.open("rb") as stream:
            values = tomllib.load(stream)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not valid TOML: {error}") from error
    try:
        profiles = msgspec.convert(values, _File).profiles
    except msgspec.ValidationError as error:
        raise ProfileError(f"{path}: {error}") from None
    if not 1 <= len(profiles) <= _MAX_PROFILES:
        raise ProfileError(f"{path}: expected 1 to {_MAX_PROFILES} tables [profiles.NAME]")
    for name in profiles:
        if not NAME.fullmatch(name):
            raise ProfileError(
                f"{path}: profiles.{name[:60]!r}: a name has 1 to 40 letters, digits, '-' and '_'"
            )
    return profiles


def _profile(name: str, written: _Written, folder: Path, model: str | None, strict: bool) -> Profile:
    """Raises ValueError: member and what is wrong with it."""
    session = _session(written.session, model)
    if written.instructions_file is not None:
        if "instructions" in session:
            raise ValueError("instructions_file: the session has instructions already")
        session["instructions"] = _text(folder / Path(written.instructions_file).expanduser())
    _check_session(session, strict)
    for number, tool in enumerate(written.tools):
        if not _TOOL.fullmatch(tool):
            raise ValueError(f"tools[{number}]: expected 'package.module:function', got {tool[:80]!r}")
    if unsuitable := {"filter", "label"} & written.grant.keys():
        raise ValueError(f"grant.{min(unsuitable)}: is set by the application")
    try:
        grant = msgspec.convert(written.grant, Grant)
    except msgspec.ValidationError as error:
        raise ValueError(f"grant: {error}") from None
    return Profile(
        name=name,
        session=session,
        title=written.title or name,
        description=written.description,
        languages=written.languages,
        tools=written.tools,
        record=written.record,
        grant={member: value for member, value in written.grant.items() if member != "max_calls"},
        max_calls=grant.max_calls or 1,
    )


def _session(session: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """``type`` and ``model`` filled in."""
    filled = {"type": "realtime", **session}
    if model and not filled.get("model"):
        filled["model"] = model
    return filled


def _check_session(session: Mapping[str, Any], strict: bool) -> None:
    """Raises ValueError. A hosted service may know members that we do not."""
    try:
        patch = decode_session(msgspec.json.encode(session))
    except ProtocolError as error:
        if strict or error.code != "unknown_parameter":
            raise ValueError(f"session: {error.message}") from None
        return
    if not isinstance(patch, SessionPatch):
        raise ValueError("session.type: expected 'realtime'")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ValueError(f"instructions_file: larger than {_MAX_FILE} bytes")
        return path.read_text().strip()
    except OSError as error:
        raise ValueError(f"instructions_file: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"instructions_file: {path} is not UTF-8") from None
