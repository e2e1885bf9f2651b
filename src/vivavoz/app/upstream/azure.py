"""Azure OpenAI: a resource's name or endpoint, with a key or with Entra tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from vivavoz.app.config import Filter
from vivavoz.app.upstream.http import Http
from vivavoz.app.upstream.port import Abilities, Answer
from vivavoz.app.upstream.realtime import Realtime, answered

ABILITIES = Abilities(filter=True)
PREFIX = "/openai/v1"

COGNITIVE_SERVICES = "https://cognitiveservices.azure.com/.default"
AI_FOUNDRY = "https://ai.azure.com/.default"

_TOKEN_S = 60
"""How long the token of a proxied call lives; it is used at once."""


def endpoint_of(resource: str) -> str:
    return f"https://{resource}.openai.azure.com"


def audience_of(endpoint: str) -> str:
    """What Azure's samples ask tokens for: the newer audience at Foundry's addresses, the older elsewhere;
    resources take both."""
    host = urlsplit(endpoint).hostname or ""
    return AI_FOUNDRY if host.endswith(".services.ai.azure.com") else COGNITIVE_SERVICES


class Azure(Realtime):
    def __init__(self, http: Http, endpoint: str, name: str = "azure") -> None:
        """``endpoint``: where browsers reach the resource; empty: where they reach the application."""
        browser_url = f"{endpoint.rstrip('/')}{PREFIX}/realtime/calls"
        super().__init__(name, http, PREFIX, browser_url, ABILITIES)

    async def connect(
        self, offer: str, session: Mapping[str, Any], *, filtered: Filter, grant: Mapping[str, Any] | None
    ) -> Answer:
        """Two requests: Azure opens calls for client secrets only, and takes offers as bare SDP only."""
        secret = await self.mint(session, seconds=_TOKEN_S, grant=None)
        reply = await self._request(
            "a call",
            "POST",
            "/realtime/calls",
            body=offer.encode(),
            headers={"Content-Type": "application/sdp", "Authorization": f"Bearer {secret.value}"},
            params={} if filtered == "off" else {"webrtcfilter": "on"},
            anonymous=True,
        )
        return answered(reply)
