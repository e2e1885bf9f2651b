"""``GET /token``: how the page of this server gets a client secret without holding a key.

What mints it is given from outside (the service itself, or a request to a hosted one), in the words of
``POST /realtime/client_secrets``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from vivavoz.wire.options import SessionObject
from vivavoz.wire.rest import ClientSecret, error_body

Mint = Callable[[web.Request, bytes], Awaitable[ClientSecret]]
"""``(request, body of client_secrets) -> answer``."""
Status = Callable[[], Any]
"""The rows of engines that the page shows."""


class TokenRoute:
    def __init__(self, mint: Mint, status: Status, *, open_to_all: bool) -> None:
        """``open_to_all`` False: the page is told to ask its user for the key and mint by itself."""
        self._mint = mint
        self._status = status
        self._open = open_to_all

    async def get(self, request: web.Request) -> web.Response:
        if not self._open:
            return _json(
                401,
                error_body(
                    "This server has a key. Enter it on the page; it is sent to this server only.",
                    code="key_required",
                ),
            )
        # A page elsewhere could not read the answer, but shall not make us work either (Fetch Metadata).
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return _json(403, error_body("Tokens are for this server's own page.", code="cross_site"))
        session: dict[str, str] = {"type": "realtime"}
        if model := request.query.get("model"):
            session["model"] = model
        secret = await self._mint(request, msgspec.json.encode({"session": session}))
        assert isinstance(secret.session, SessionObject)
        answer = {
            "token": secret.value,
            "expires_at": secret.expires_at,
            "model": secret.session.model,
            "status": self._status(),
        }
        return _json(200, msgspec.json.encode(answer))


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(
        status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
