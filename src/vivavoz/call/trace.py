"""Traces: what happened to a call, so that it can be replayed to the same effects.

A trace holds words and sound; it is written only where the operator asks for it, and never beyond its bound.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from vivavoz.call.core import Core
from vivavoz.session.effects import Effect
from vivavoz.session.ids import Ids
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.session.translation.inputs import AnyInput
from vivavoz.session.translation.session import TranslationSession
from vivavoz.session.translation.state import TranslationSettings
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.translation import TranslationOptions

log = logging.getLogger("vivavoz.call.trace")

SCHEMA = 2


class TraceError(ValueError):
    """Not a trace, or one of another version."""


class Head(msgspec.Struct, frozen=True, tag="conversation"):
    """Everything besides its inputs that a session is made of."""

    schema: int
    seed: bytes
    session_id: str | None
    options: SessionOptions
    settings: Settings

    def session(self) -> Session:
        return Session(self.options, Ids(seed=self.seed), self.settings, session_id=self.session_id)


class TranslationHead(msgspec.Struct, frozen=True, tag="translation"):
    """The same of a translation session."""

    schema: int
    seed: bytes
    session_id: str | None
    options: TranslationOptions
    settings: TranslationSettings

    def session(self) -> TranslationSession:
        ids = Ids(seed=self.seed)
        return TranslationSession(self.options, ids, self.settings, session_id=self.session_id)


AnyHead = Head | TranslationHead


class Step(msgspec.Struct, frozen=True):
    now: float
    input: AnyInput


_head: msgspec.msgpack.Decoder[AnyHead] = msgspec.msgpack.Decoder(AnyHead)


class TraceWriter:
    """One file, one step after the other. A full disk or bound ends the trace, never the call."""

    def __init__(self, path: Path, head: AnyHead, limit: int) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._left = limit
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: BinaryIO | None = open(path, "xb", opener=_private)  # noqa: SIM115 - closed by close()
        self._write(head)

    def step(self, now: float, input: AnyInput) -> None:
        self._write(Step(now, input))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, record: AnyHead | Step) -> None:
        if self._file is None:
            return
        data = self._encoder.encode(record)
        self._left -= len(data) + 4
        try:
            if self._left < 0:
                raise OSError("the trace has its longest length")
            self._file.write(len(data).to_bytes(4, "big") + data)
        except OSError as error:
            log.warning("trace ended: %s", error)
            self.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read(path: Path) -> tuple[AnyHead, Iterator[Step]]:
    """A trace's head and steps. Raises :class:`TraceError`, ``OSError``."""
    records = _records(path)
    try:
        head: AnyHead = _head.decode(next(records))
    except StopIteration:
        raise TraceError(f"{path} is not a trace: it is empty") from None
    except (TraceError, msgspec.DecodeError):
        raise TraceError(f"{path} is not a trace: it does not begin like one") from None
    if head.schema != SCHEMA:
        raise TraceError(f"{path} is a trace of schema {head.schema}; this is {SCHEMA}")
    return head, (_step(record, path) for record in records)


def replay(path: Path) -> Iterator[tuple[Step, list[Effect]]]:
    """The same session once more, step by step."""
    head, steps = read(path)
    session: Core = head.session()
    for step in steps:
        yield step, session.step(step.now, step.input)


def _step(record: bytes, path: Path) -> Step:
    try:
        return msgspec.msgpack.decode(record, type=Step)
    except msgspec.DecodeError as error:
        raise TraceError(f"{path} holds a broken step: {error}") from None


def _records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while len(size := file.read(4)) == 4:
            record = file.read(int.from_bytes(size, "big"))
            if len(record) < int.from_bytes(size, "big"):
                raise TraceError(f"{path} ends in the middle of a step: it was cut short")
            yield record
        if size:
            raise TraceError(f"{path} ends in the middle of a step: it was cut short")
