"""The offer of ``POST /connect``: a form with the part ``sdp``, or bare SDP, within bounds."""

from __future__ import annotations

import asyncio

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from vivavoz.app.bodies import BODY_S
from vivavoz.app.errors import AppError

SDP_BYTES = 64 * 1024
_MAX_PARTS = 8
_MAX_BODY = 2 * SDP_BYTES


async def read_offer(request: web.Request) -> str:
    """Raises AppError: 400 no or a bad offer, 408 too slow, 413 too large, 415 of another type."""
    if (request.content_length or 0) > _MAX_BODY:
        raise _too_large()
    kind = request.content_type.lower()
    if kind not in ("multipart/form-data", "application/sdp"):
        raise AppError(
            415,
            "Send the offer as 'multipart/form-data' with the part 'sdp', or as 'application/sdp'.",
            "unsupported_content_type",
        )
    try:
        async with asyncio.timeout(BODY_S):
            data = await (_form(request) if kind == "multipart/form-data" else _bare(request))
    except TimeoutError:
        raise AppError(408, f"The offer did not come within {BODY_S:.0f} s.", "request_timeout") from None
    except web.RequestPayloadError:
        raise AppError(400, "The request body is broken.", "invalid_body") from None
    return _offer(data)


async def _bare(request: web.Request) -> bytes:
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > SDP_BYTES:
            raise _too_large()
    return bytes(data)


async def _form(request: web.Request) -> bytes:
    total = 0
    offer: bytes | None = None
    try:
        reader = await request.multipart()
        for _ in range(_MAX_PARTS + 1):
            part = await reader.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader):
                raise _bad_form("a part holds another form")
            data = bytearray()
            while piece := await part.read_chunk():
                data += piece
                total += len(piece)
                if total > _MAX_BODY or (part.name == "sdp" and len(data) > SDP_BYTES):
                    raise _too_large()
            if part.name == "sdp":
                if offer is not None:
                    raise _bad_form("the part 'sdp' is there twice")
                offer = bytes(data)
        else:
            raise _bad_form(f"it has more than {_MAX_PARTS} parts")
    except (ValueError, AssertionError, RuntimeError, LookupError, EOFError, HttpProcessingError) as error:
        raise _bad_form("it is cut short, or its boundary is missing or wrong") from error
    if offer is None:
        raise AppError(
            400, "Missing the field 'sdp' of the form: the SDP offer.", "missing_required_parameter", "sdp"
        )
    return offer


def _offer(data: bytes) -> str:
    try:
        text = data.decode().lstrip()
    except UnicodeDecodeError:
        text = ""
    if not text.startswith("v=0"):
        raise AppError(
            400, "The offer is no SDP: expected text that begins with 'v=0'.", "invalid_offer", "sdp"
        )
    return text


def _too_large() -> AppError:
    return AppError(413, f"The offer is larger than {SDP_BYTES} bytes.", "request_too_large", "sdp")


def _bad_form(why: str) -> AppError:
    return AppError(400, f"The form cannot be read: {why}.", "invalid_multipart")
