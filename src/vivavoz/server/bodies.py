"""Reading request bodies within bounds: JSON, an SDP offer, or a form with both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from vivavoz.config import Limits
from vivavoz.server.errors import ApiError
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.grants import Grant
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.rest import decode_grant, decode_session

BODY_S = 30.0
"""How long a body may take to arrive."""

_MAX_PARTS = 16


class Offer(NamedTuple):
    sdp: str
    session: AnyPatch | None
    grant: Grant | None = None


async def read_body(request: web.Request, limit: int, what: str = "request body") -> bytes:
    """The whole body. Raises ApiError: 413 beyond ``limit`` bytes, announced or not; 408 where it does not
    come."""
    if (request.content_length or 0) > limit:
        raise _too_large(what, limit)
    async with _soon():
        return await _read(request.content, limit, what)


async def read_offer(request: web.Request, limits: Limits, *, forms: bool = True) -> Offer:
    """The offer of ``POST /realtime/calls`` in either encoding; ``forms`` False: as bare SDP only. Raises
    ApiError, ProtocolError."""
    async with _soon():
        return await _read_offer(request, limits, forms)


@contextlib.asynccontextmanager
async def _soon() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(BODY_S):
            yield
    except TimeoutError:
        raise ApiError(
            408, f"The request body did not come within {BODY_S:.0f} s.", code="request_timeout"
        ) from None


async def _read_offer(request: web.Request, limits: Limits, forms: bool) -> Offer:
    kind = request.content_type.lower()
    if kind == "multipart/form-data" and forms:
        return await _read_form(request, limits)
    named = "Content-Type" in request.headers
    if named and kind not in ("application/sdp", "text/plain", "application/octet-stream"):
        raise ApiError(
            415,
            f"Unsupported content type: '{kind[:80]}'. Send the offer as 'application/sdp'"
            + (", or as 'multipart/form-data' with the parts 'sdp' and 'session'." if forms else "."),
            code="unsupported_content_type",
        )
    if (request.content_length or 0) > limits.sdp_bytes:
        raise _too_large("SDP offer", limits.sdp_bytes)
    return Offer(_sdp(await _read(request.content, limits.sdp_bytes, "SDP offer")), None)


async def _read_form(request: web.Request, limits: Limits) -> Offer:
    if (request.content_length or 0) > limits.body_bytes:
        raise _too_large("request body", limits.body_bytes)
    parts: dict[str, bytes] = {}
    try:
        reader = await request.multipart()
        total = count = 0
        while (part := await reader.next()) is not None:
            count += 1
            if count > _MAX_PARTS:
                raise _bad_form(f"it has more than {_MAX_PARTS} parts")
            if isinstance(part, MultipartReader):
                raise _bad_form("a part holds another multipart body")
            limit = limits.sdp_bytes if part.name == "sdp" else limits.body_bytes - total
            data = await _read_part(part, limit)
            total += len(data)
            if part.name in parts:
                raise _bad_form(f"the part '{part.name}' is there twice")
            if part.name in ("sdp", "session", "grant"):
                parts[part.name] = data
    except (ValueError, AssertionError, RuntimeError, LookupError, EOFError, HttpProcessingError) as error:
        raise _bad_form("it is cut short, or its boundary is missing or wrong") from error
    if "sdp" not in parts:
        raise ApiError(
            400, "Missing required parameter: 'sdp'.", code="missing_required_parameter", param="sdp"
        )
    session: AnyPatch | None = None
    if parts.get("session", b"").strip():
        try:
            session = decode_session(parts["session"])
        except ProtocolError as error:
            raise error.under("session") from None
    grant: Grant | None = None
    if parts.get("grant", b"").strip():
        try:
            grant = decode_grant(parts["grant"])
        except ProtocolError as error:
            raise error.under("grant") from None
    return Offer(_sdp(parts["sdp"]), session, grant)


async def _read_part(part: BodyPartReader, limit: int) -> bytes:
    what = f"part '{(part.name or '')[:40]}'"
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > limit:
            raise _too_large(what, limit)
    return bytes(part.decode(data)) if part.headers.get("Content-Transfer-Encoding") else bytes(data)


async def _read(stream: StreamReader, limit: int, what: str) -> bytes:
    data = bytearray()
    try:
        async for chunk in stream.iter_any():
            data += chunk
            if len(data) > limit:
                raise _too_large(what, limit)
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise ApiError(
            400, f"The {what} cannot be read: its encoding is broken.", code="invalid_body"
        ) from error
    return bytes(data)


def _sdp(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.lstrip().startswith("v=0"):
        raise ApiError(
            400,
            "The body is not an SDP offer: it must be UTF-8 text that begins with 'v=0'.",
            code="invalid_offer",
            param="sdp",
        )
    return text.lstrip()


def _too_large(what: str, limit: int) -> ApiError:
    return ApiError(413, f"The {what} is larger than {limit} bytes.", code="request_too_large")


def _bad_form(why: str) -> ApiError:
    return ApiError(400, f"The multipart body cannot be read: {why}.", code="invalid_multipart")
