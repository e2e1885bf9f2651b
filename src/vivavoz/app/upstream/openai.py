"""OpenAI, or what speaks as it does at another address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.json import encode

from vivavoz.app.config import Filter
from vivavoz.app.upstream.http import Http, multipart
from vivavoz.app.upstream.port import Abilities, Answer
from vivavoz.app.upstream.realtime import Realtime, answered

ABILITIES = Abilities()
"""No filter: whoever holds the data channel is sent every event, the session among them."""
PREFIX = "/v1"
ENDPOINT = "https://api.openai.com"


class OpenAI(Realtime):
    def __init__(self, http: Http, endpoint: str = ENDPOINT) -> None:
        browser_url = f"{endpoint.rstrip('/')}{PREFIX}/realtime/calls"
        super().__init__("openai", http, PREFIX, browser_url, ABILITIES)

    async def connect(
        self, offer: str, session: Mapping[str, Any], *, filtered: Filter, grant: Mapping[str, Any] | None
    ) -> Answer:
        body, kind = await multipart(
            {"sdp": (offer, "application/sdp"), "session": (encode(session).decode(), "application/json")}
        )
        headers = {"Content-Type": kind}
        return answered(await self._request("a call", "POST", "/realtime/calls", body=body, headers=headers))
