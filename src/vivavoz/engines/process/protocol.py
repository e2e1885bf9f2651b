"""What travels between a worker and an engine process: length-prefixed msgpack frames on a Unix socket.

A worker opens jobs, feeds and finishes their input, cancels them, and acknowledges results; at most
:data:`WINDOW` results of a job are unacknowledged, so that neither side can flood the other. Whoever wants
to know whether the process is alive sends ``Ping``; it is answered by the process's IO thread, which no model
runs on.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Literal, TypeVar

import msgspec

WINDOW = 32
"""Results of one job that may be on their way."""

INPUT_LIMIT = 4096
"""Input messages of one job that may wait for the engine."""

MAX_FRAME = 32 << 20
"""Bytes; more is a broken peer."""

_LENGTH = struct.Struct(">I")
_T = TypeVar("_T")


class ProtocolError(Exception):
    """The peer broke the protocol; the connection is of no use any more."""


class Open(msgspec.Struct, frozen=True, array_like=True, tag="open"):
    job: int
    """Chosen by the worker, unique on its connection."""
    method: str
    options: Any
    tentative: bool = False
    """It may be in vain: begun only while nothing else is done, given up for any other (``engine_busy``)."""


class Keep(msgspec.Struct, frozen=True, array_like=True, tag="keep"):
    """A tentative job is wanted after all; answered by ``Kept`` where it is still there."""

    job: int


class Feed(msgspec.Struct, frozen=True, array_like=True, tag="feed"):
    job: int
    data: Any


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="finish"):
    """The job's input is complete."""

    job: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Nobody wants the job any more; nothing more is said about it."""

    job: int


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    job: int
    count: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    pass


class Pong(msgspec.Struct, frozen=True, array_like=True, tag="pong"):
    pass


class State(msgspec.Struct, frozen=True, array_like=True, tag="state"):
    """Said at once on every connection and whenever it changes. ``code`` and ``message`` go with failed."""

    state: Literal["loading", "ready", "failed"]
    code: str = ""
    message: str = ""


class Result(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    job: int
    data: Any


class Kept(msgspec.Struct, frozen=True, array_like=True, tag="kept"):
    """The job is like any other from now on."""

    job: int


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    job: int


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    job: int
    code: str
    message: str


ToEngine = Open | Keep | Feed | Finish | Cancel | Ack | Ping
ToWorker = Result | Kept | Done | Failed | Pong | State

_encoder = msgspec.msgpack.Encoder()
_to_engine: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


def pack(message: ToEngine | ToWorker) -> bytes:
    """The message as one frame. Raises :class:`ProtocolError` where it is too large to send."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a frame of {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


async def read_to_engine(reader: asyncio.StreamReader) -> ToEngine:
    """The next frame from a worker. Raises EOFError, ConnectionError or :class:`ProtocolError`."""
    return _decode(_to_engine, await _body(reader))


async def read_to_worker(reader: asyncio.StreamReader) -> ToWorker:
    """The next frame from an engine process. Raises as :func:`read_to_engine` does."""
    return _decode(_to_worker, await _body(reader))


async def _body(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_FRAME:
        raise ProtocolError(f"a frame of {length} bytes")
    return await reader.readexactly(length)


def _decode(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ProtocolError(str(error)) from error
