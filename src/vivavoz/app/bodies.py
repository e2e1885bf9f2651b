"""Request bodies that come in time, and whole."""

from __future__ import annotations

import asyncio

from aiohttp import web

from vivavoz.app.errors import AppError

BODY_S = 10.0
"""How long a body may take to arrive."""


async def read_body(request: web.Request) -> bytes:
    """All of it; how long it may be is the server's to say (413). Raises AppError: 400 broken, 408 too
    slow."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise AppError(
            408, f"The request body did not come within {BODY_S:.0f} s.", "request_timeout"
        ) from None
    except web.RequestPayloadError:
        raise AppError(400, "The request body is broken.", "invalid_body") from None
