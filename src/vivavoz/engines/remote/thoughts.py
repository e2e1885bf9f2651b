"""Keeps a reasoning model's thoughts, where they come as text in ``<think>`` tags, from being spoken."""

from __future__ import annotations

_OPEN, _CLOSE = "<think>", "</think>"


class ThoughtFilter:
    """Drops one ``<think>…</think>`` at the very start of a reply, and the blank space after it."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of the reply so far that may be spoken now."""
        if self._state == "open":
            return text
        self._held += text
        if self._state == "start":
            begun = self._held.lstrip()
            if begun.startswith(_OPEN):
                self._state, self._held = "thinking", begun[len(_OPEN) :]
            elif _OPEN.startswith(begun):
                return ""  # could still become the tag
            else:
                return self._open(self._held)
        if self._state == "thinking":
            _, found, after = self._held.partition(_CLOSE)
            # Of thoughts only so much is kept as could begin the closing tag.
            self._held = after if found else self._held[-len(_CLOSE) :]
            if not found:
                return ""
            self._state = "after"
        rest = self._held.lstrip()
        return self._open(rest) if rest else ""

    def finish(self) -> str:
        """What was held back at the end: the beginning of a tag that never came."""
        return self._held if self._state == "start" else ""

    def _open(self, text: str) -> str:
        self._state, self._held = "open", ""
        return text
