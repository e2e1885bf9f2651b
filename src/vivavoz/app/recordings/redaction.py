"""What recorded events keep to themselves: credentials always, prompts unless configured otherwise."""

from __future__ import annotations

from typing import Any

import msgspec

REDACTED = "[redacted]"

SECRETS = frozenset({"api_key", "authorization", "client_secret", "headers", "server_url"})
"""Members of tools and sessions that are, or may hold, credentials (a server's URL in its query)."""
PROMPTS = frozenset({"instructions", "prompt"})
"""Of sessions, responses and transcription settings."""

_UNREADABLE = b'{"type":"unreadable"}'


class Redaction:
    def __init__(self, *, keep_prompts: bool = False) -> None:
        self._members = SECRETS if keep_prompts else SECRETS | PROMPTS
        # Most events are deltas, and none of these is in them. An escape may hide a name, so it counts too.
        self._signs = (*(f'"{name}"'.encode() for name in self._members), b"\\u")

    def __call__(self, event: bytes) -> bytes:
        """The event, JSON on one line, without what is not to be kept."""
        if any(sign in event for sign in self._signs):
            try:
                event = msgspec.json.encode(self._cleared(msgspec.json.decode(event)))
            except (msgspec.DecodeError, RecursionError):
                return _UNREADABLE
        return event.replace(b"\n", b" ")

    def _cleared(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: REDACTED if name in self._members and inner is not None else self._cleared(inner)
                for name, inner in value.items()
            }
        return [self._cleared(inner) for inner in value] if isinstance(value, list) else value
