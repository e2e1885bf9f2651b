"""Stored prompts: instructions that the operator keeps in a folder and clients name, with variables in them.

``greeter.md`` is the prompt ``greeter``, ``greeter@2.md`` its version ``2``; ``{{name}}`` in them is replaced
by the variable of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from vivavoz.wire.base import replace
from vivavoz.wire.client_events import ClientEvent, ResponseCreate, SessionUpdate
from vivavoz.wire.errors import ProtocolError, invalid_value, missing
from vivavoz.wire.options import AnyPatch, Prompt, SessionPatch
from vivavoz.wire.responses import ResponsePatch

MAX_FILES = 10_000
MAX_BYTES = 256 * 1024
"""Of one prompt."""
_FILE = re.compile(r"(?P<id>[A-Za-z0-9_.-]+?)(?:@(?P<version>[A-Za-z0-9_.-]+))?\.(?:md|txt)")
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_-]+)\s*\}\}")
_SHOWN = 100

_Patch = TypeVar("_Patch", SessionPatch, ResponsePatch)


class PromptError(ValueError):
    """A folder of prompts that cannot be used; the message names the file."""


def load(folder: Path) -> Prompts:
    """Read once: nobody waits for a disk later. Raises :class:`PromptError`."""
    texts: dict[tuple[str, str | None], str] = {}
    try:
        for path in sorted(folder.iterdir()):
            if (named := _FILE.fullmatch(path.name)) is None or not path.is_file():
                continue
            if path.stat().st_size > MAX_BYTES or len(texts) >= MAX_FILES:
                raise PromptError(f"{path}: at most {MAX_FILES} prompts of {MAX_BYTES} bytes are kept")
            texts[named["id"], named["version"]] = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"the prompts in {folder} cannot be read: {error}") from error
    return Prompts(texts)


class Prompts:
    """``texts``: by id and version; None is the version of those who name none."""

    def __init__(self, texts: Mapping[tuple[str, str | None], str] | None = None) -> None:
        self._texts = texts or {}

    def filled_session(self, patch: AnyPatch | None) -> AnyPatch | None:
        """The patch with the prompt's words as its instructions, unless it has its own. Raises
        :class:`ProtocolError`, seen from the session."""
        return self._filled(patch) if isinstance(patch, SessionPatch) else patch

    def filled_event(self, event: ClientEvent) -> ClientEvent:
        """The same for what an event brings. Raises :class:`ProtocolError`."""
        try:
            if isinstance(event, SessionUpdate) and isinstance(event.session, SessionPatch):
                where = "session"
                return replace(event, session=self._filled(event.session))
            if isinstance(event, ResponseCreate) and isinstance(event.response, ResponsePatch):
                where = "response"
                return replace(event, response=self._filled(event.response))
        except ProtocolError as error:
            error = error.under(where)
            error.event_id = event.event_id if isinstance(event.event_id, str) else None
            raise error from None
        return event

    def _filled(self, patch: _Patch) -> _Patch:
        prompt = patch.prompt
        if not isinstance(prompt, Prompt):
            return patch
        text = self._text(prompt)
        return patch if isinstance(patch.instructions, str) else replace(patch, instructions=text)

    def _text(self, prompt: Prompt) -> str:
        text = self._texts.get((prompt.id, prompt.version if isinstance(prompt.version, str) else None))
        if text is None:
            version = f" in version '{prompt.version[:_SHOWN]}'" if isinstance(prompt.version, str) else ""
            raise ProtocolError(
                f"Prompt '{prompt.id[:_SHOWN]}' does not exist here{version}.",
                code="prompt_not_found",
                param="prompt.id",
            )
        given = prompt.variables if isinstance(prompt.variables, dict) else {}
        wanted = set(_VARIABLE.findall(text))
        for name in given:
            if name not in wanted:
                raise invalid_value(
                    f"Unknown prompt variable: '{name[:_SHOWN]}'.", f"prompt.variables.{name[:_SHOWN]}"
                )
        for name in sorted(wanted - given.keys()):
            raise missing(f"prompt.variables.{name}")
        words = {name: value if isinstance(value, str) else value.text for name, value in given.items()}
        return _VARIABLE.sub(lambda place: words[place[1]], text)
