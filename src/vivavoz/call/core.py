"""What a call asks of a session, whatever its kind."""

from __future__ import annotations

from typing import Any, Protocol

from vivavoz.session.effects import Effect
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.translation import TranslationOptions


class Core(Protocol):
    """A session of whatever kind, as its call sees it: inputs in, effects out."""

    @property
    def id(self) -> str: ...

    @property
    def conversation_id(self) -> str: ...

    @property
    def options(self) -> SessionOptions | TranslationOptions: ...

    @property
    def voiced(self) -> int:
        """The end of the last sound that was speech, in the caller's samples."""
        ...

    @property
    def deadline(self) -> float | None: ...

    def step(self, now: float, input: Any) -> list[Effect]: ...
