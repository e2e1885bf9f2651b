"""What calls exchange with their clients, as lines of JSON and for tests to look at.

One line an event: ``{"call": 1, "direction": "client", "event": {...}}``. The lines stand in the order in
which the call handled them, so that equal input makes equal lines; that is why they carry a time only where
somebody asks for it. They hold words and sound.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from vivavoz.wire.codec import encode
from vivavoz.wire.translation import AnyServerEvent

log = logging.getLogger("vivavoz.testing")

MAX_FILE_BYTES = 2**30
MAX_KEPT = 100_000
"""Events of one call that are kept for a test."""
MAX_CALLS = 10_000

_FIRST = "t1"
"""The connection that came first needs no name in the log."""


class Entry(msgspec.Struct, frozen=True):
    """One event. ``connection`` is set where it concerns another one than the call's first: an observer."""

    direction: Literal["client", "server"]
    event: dict[str, Any]
    connection: str | None = None


class RecordedCall:
    """What one call exchanged. Events are dictionaries, as on the wire; sound is base64 (24 kHz PCM)."""

    def __init__(self, number: int, call_id: str) -> None:
        self.number = number
        """The service's calls are counted from 1."""
        self.id = call_id
        self.entries: list[Entry] = []
        self.ended: int | None = None
        """The WebSocket close code that the call ended with; None while it lives."""

    @property
    def client_events(self) -> list[dict[str, Any]]:
        """What clients sent, in the order in which it was handled."""
        return [entry.event for entry in list(self.entries) if entry.direction == "client"]

    @property
    def server_events(self) -> list[dict[str, Any]]:
        """What was sent to clients."""
        return [entry.event for entry in list(self.entries) if entry.direction == "server"]

    def __repr__(self) -> str:
        state = "open" if self.ended is None else f"ended with {self.ended}"
        return f"<call {self.number}, {state}, {len(self.entries)} events>"


class EventLog:
    """The log of all calls of one service. ``timed``: each line says how long its call had lived (s)."""

    def __init__(self, path: Path | None = None, *, timed: bool = True, keep: bool = False) -> None:
        """``keep``: calls can be asked for later. Raises ``OSError`` where ``path`` cannot be written; what
        was there is replaced."""
        self.calls: list[RecordedCall] = []
        self.timed = timed
        self._keep = keep
        self._left = MAX_FILE_BYTES
        self._file: BinaryIO | None = None
        if path is not None:
            # Unbuffered, so that whoever reads along, or after a crash, finds all of it.
            self._file = open(path, "wb", buffering=0, opener=_private)  # noqa: SIM115 - closed by close()

    def open(self, number: int, call_id: str) -> CallLog:
        call = RecordedCall(number, call_id)
        if self._keep and len(self.calls) < MAX_CALLS:
            self.calls.append(call)
        return CallLog(self, call, self._keep)

    def write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            return
        data = msgspec.json.encode(line) + b"\n"
        self._left -= len(data)
        try:
            if self._left < 0:
                raise OSError("the event log has its longest length")
            self._file.write(data)
        except OSError as error:
            log.warning("the event log ended: %s", error)
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class CallLog:
    """One call's part of the log."""

    def __init__(self, whole: EventLog, call: RecordedCall, keep: bool) -> None:
        self._whole = whole
        self._call = call
        self._keep = keep
        self._began = time.monotonic()

    def received(self, sender: str, data: str | bytes) -> None:
        self._add("client", _without_credentials(_read(data)), sender)

    def sent(self, event: AnyServerEvent, to: str | None) -> None:
        self._add("server", msgspec.json.decode(encode(event)), to)

    def closed(self, code: int) -> None:
        self._call.ended = code
        self._whole.write({"call": self._call.number, **self._time(), "ended": code})

    def _add(self, direction: Literal["client", "server"], event: dict[str, Any], name: str | None) -> None:
        connection = None if name == _FIRST else name
        if self._keep and len(self._call.entries) < MAX_KEPT:
            self._call.entries.append(Entry(direction, event, connection))
        line: dict[str, Any] = {"call": self._call.number, **self._time(), "direction": direction}
        if connection is not None:
            line["connection"] = connection
        self._whole.write({**line, "event": event})

    def _time(self) -> dict[str, float]:
        return {"time": round(time.monotonic() - self._began, 3)} if self._whole.timed else {}


def _read(data: str | bytes) -> dict[str, Any]:
    """A client's message, or what stands for one that is no JSON object."""
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        event = None
    if isinstance(event, dict):
        return event
    raw = data if isinstance(data, bytes) else data.encode(errors="replace")
    return {"malformed": raw.decode(errors="replace")}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _without_credentials(event: dict[str, Any]) -> dict[str, Any]:
    """A client's event without what its MCP servers are to be shown: no log holds a secret."""
    for member in ("session", "response"):
        named = event.get(member)
        tools = named.get("tools") if isinstance(named, dict) else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict):
                for secret in ("authorization", "headers"):
                    if secret in tool:
                        tool[secret] = "***"
    return event
