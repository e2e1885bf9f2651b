"""``strict_azure``: what Azure has and no more, so that what works here works there.

The routes are chosen in :mod:`vivavoz.server.app`, the credentials in :mod:`vivavoz.server.auth`; here is
what all of Azure's answers have in common.
"""

from __future__ import annotations

import uuid

from aiohttp import web
from aiohttp.typedefs import Handler

from vivavoz.server.errors import GATEWAY


@web.middleware
async def gateway_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[GATEWAY] = True
    return await handler(request)


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """The header by which Azure's support finds a request; a signal handler, for handshakes have it too."""
    response.headers["apim-request-id"] = str(uuid.uuid4())
