"""``/api/recordings``: for operators only (docs/recordings.md)."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Any, Literal, Protocol

import msgspec
from aiohttp import hdrs, web

from vivavoz.app.database.database import DatabaseError
from vivavoz.app.database.tables import Recording
from vivavoz.app.errors import AppError
from vivavoz.app.recordings import container
from vivavoz.app.recordings.archive import Archive, audit
from vivavoz.app.recordings.catalogue import Cursor
from vivavoz.app.recordings.ranges import Span, Unsatisfiable, span

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_QUERY = 200
PIECE = 128 * 1024
"""Bytes that are read and sent at a time."""


class Operator(Protocol):
    """Who asked; what ``Access.operator`` returns."""

    @property
    def name(self) -> str: ...


class Row(msgspec.Struct, kw_only=True):
    """One recording of the list."""

    id: str
    call_id: str
    profile: str
    user: str
    upstream: str
    origin: str
    status: str
    end_reason: str
    started_at: float
    ended_at: float
    duration_ms: int
    turns: int
    last_words: str
    bytes: int
    audio: str | None
    """Content type of the sound."""


class Page(msgspec.Struct, kw_only=True):
    recordings: list[Row]
    next: str | None
    """``before`` of the next page."""
    enabled: bool
    """Whether calls are recorded whose profile does not say."""
    recording: int
    """Calls that are being recorded now."""
    packing: int
    """Calls that ended, and whose recordings are not finished."""
    total: int
    total_bytes: int
    retention_days: int
    retention_bytes: int
    problem: str | None


def routes(archive: Archive, operator: Callable[[web.Request], Operator]) -> list[web.RouteDef]:
    """``operator`` raises AppError (401, 403) for everybody else."""
    handlers = _Handlers(archive, operator)
    return [
        web.get("/api/recordings", handlers.page),
        web.get("/api/recordings/{id}", handlers.detail),
        web.get("/api/recordings/{id}/audio", handlers.audio),
        web.get("/api/recordings/{id}/events", handlers.events),
        web.get("/api/recordings/{id}/peaks", handlers.peaks),
        web.get("/api/recordings/{id}/export", handlers.export),
        web.delete("/api/recordings/{id}", handlers.delete),
    ]


class _Handlers:
    def __init__(self, archive: Archive, operator: Callable[[web.Request], Operator]) -> None:
        self._archive = archive
        self._operator = operator

    async def page(self, request: web.Request) -> web.StreamResponse:
        self._operator(request)
        limit = _limit(request)
        archive, config = self._archive, self._archive.config
        query = request.query.get("query", "")
        if len(query) > MAX_QUERY:
            raise AppError(400, f"query: expected at most {MAX_QUERY} characters.", "invalid_value", "query")
        async with _explained():
            rows = await archive.catalogue.page(_before(request), limit + 1, query)
            totals = await archive.catalogue.totals()
        shown = rows[:limit]
        more = len(rows) > limit
        return _json(
            Page(
                recordings=[_row(row) for row in shown],
                next=str(Cursor(shown[-1].started_at, shown[-1].id)) if more else None,
                enabled=config.enabled,
                recording=archive.recorder.recording,
                packing=archive.packing,
                total=totals.recordings,
                total_bytes=totals.bytes,
                retention_days=config.retention_days,
                retention_bytes=config.retention_bytes,
                problem=archive.problem,
            )
        )

    async def detail(self, request: web.Request) -> web.StreamResponse:
        recording = await self._found(request)
        async with _explained():
            meta, transcript = await self._archive.members(recording, container.META, container.TRANSCRIPT)
        told = msgspec.json.decode(meta, type=dict[str, msgspec.Raw])
        told |= {"transcript": msgspec.Raw(transcript), "bytes": msgspec.Raw(b"%d" % recording.bytes)}
        return _json(told)

    async def peaks(self, request: web.Request) -> web.StreamResponse:
        recording = await self._found(request)
        _needs_sound(recording)
        async with _explained():
            (peaks,) = await self._archive.members(recording, container.PEAKS)
        return _json(msgspec.Raw(peaks))

    async def audio(self, request: web.Request) -> web.StreamResponse:
        recording = await self._found(request)
        kind = _needs_sound(recording)
        return await self._send(request, recording, recording.audio_offset, recording.audio_bytes, kind)

    async def export(self, request: web.Request) -> web.StreamResponse:
        recording = await self._found(request)
        if request.method == hdrs.METH_GET and hdrs.RANGE not in request.headers:
            audit.info("recording %s exported (%s)", recording.id, self._operator(request).name)
        return await self._send(request, recording, 0, recording.bytes, "application/zip")

    async def events(self, request: web.Request) -> web.StreamResponse:
        recording = await self._found(request)
        async with _explained():
            file = await self._archive.open(recording)
        try:
            async with _explained():
                events = await asyncio.to_thread(_open_events, file)
            response = web.StreamResponse(headers=_headers(recording, "application/jsonl; charset=utf-8"))
            await _stream(request, response, events, None)
        finally:
            file.close()
        return response

    async def delete(self, request: web.Request) -> web.StreamResponse:
        recording = await self._found(request)
        async with _explained():
            await self._archive.delete(recording, self._operator(request).name)
        return web.Response(status=204)

    async def _found(self, request: web.Request) -> Recording:
        self._operator(request)
        name = request.match_info["id"]
        async with _explained():
            recording = await self._archive.catalogue.find(name)
        if recording is not None:
            return recording
        if self._archive.recorder.is_busy(name):
            raise AppError(409, "This recording is not finished yet.", "recording_not_finished", "id", 5)
        raise AppError(404, "There is no such recording.", "recording_not_found", "id")

    async def _send(
        self, request: web.Request, recording: Recording, offset: int, size: int, kind: str
    ) -> web.StreamResponse:
        """A stretch of the file, or the part of it that the request's range names."""
        headers = _headers(recording, kind) | {hdrs.ACCEPT_RANGES: "bytes"}
        wanted = request.headers.get(hdrs.RANGE)
        if request.headers.get(hdrs.IF_RANGE, headers[hdrs.ETAG]) != headers[hdrs.ETAG]:
            wanted = None
        try:
            part = span(wanted, size)
        except Unsatisfiable:
            return web.Response(status=416, headers=headers | {hdrs.CONTENT_RANGE: f"bytes */{size}"})
        status: Literal[200, 206] = 200
        if part is None:
            part = Span(0, size - 1)
        else:
            status = 206
            headers[hdrs.CONTENT_RANGE] = f"bytes {part.first}-{part.last}/{size}"
        async with _explained():
            file = await self._archive.open(recording)
        try:
            await asyncio.to_thread(file.seek, offset + part.first)
            response = web.StreamResponse(status=status, headers=headers)
            response.content_length = part.size
            await _stream(request, response, file, part.size)
        finally:
            file.close()
        return response


def _open_events(file: Any) -> IO[bytes]:
    return zipfile.ZipFile(file).open(container.EVENTS)


async def _stream(request: web.Request, response: web.StreamResponse, file: Any, size: int | None) -> None:
    """``size`` bytes of an open file, or all there is."""
    await response.prepare(request)
    while request.method != hdrs.METH_HEAD and size != 0:
        piece: bytes = await asyncio.to_thread(file.read, PIECE if size is None else min(PIECE, size))
        if not piece:
            break
        await response.write(piece)
        if size is not None:
            size -= len(piece)
    await response.write_eof()


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    """What cannot be read, as an answer."""
    try:
        yield
    except DatabaseError as error:
        raise AppError(503, f"{error}.", "database_unavailable", None, 5) from None
    except (FileNotFoundError, KeyError):
        raise AppError(404, "The recording's file is gone.", "recording_file_missing", "id") from None
    except zipfile.BadZipFile:
        raise AppError(500, "The recording's file is damaged.", "recording_damaged", "id") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise AppError(
            503, f"The recording's file cannot be used: {why}.", "storage_unavailable", None, 5
        ) from None


def _headers(recording: Recording, kind: str) -> dict[str, str]:
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in recording.id)
    ending = kind.partition(";")[0].rpartition("/")[2]
    headers = {
        hdrs.CONTENT_TYPE: kind,
        hdrs.ETAG: f'"{recording.take}"',
        # What was said shall not stay in a cache when its recording is deleted.
        hdrs.CACHE_CONTROL: "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if not kind.startswith("audio/"):
        headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{plain}.{ending}"'
    return headers


def _json(value: object) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "private, no-store"},
    )


def _row(recording: Recording) -> Row:
    members = {name: getattr(recording, name) for name in Row.__struct_fields__ if name != "audio"}
    return Row(**members, audio=recording.audio_type)


def _needs_sound(recording: Recording) -> str:
    if recording.audio_type is None:
        raise AppError(404, "This recording has no sound.", "recording_has_no_audio", "id")
    return recording.audio_type


def _limit(request: web.Request) -> int:
    given = request.query.get("limit", str(DEFAULT_LIMIT))
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= MAX_LIMIT):
        raise AppError(400, f"limit: expected a number from 1 to {MAX_LIMIT}.", "invalid_value", "limit")
    return int(given)


def _before(request: web.Request) -> Cursor | None:
    given = request.query.get("before")
    if not given:
        return None
    try:
        return Cursor.parse(given)
    except ValueError:
        raise AppError(
            400, "before: expected what `next` of a page says.", "invalid_value", "before"
        ) from None
