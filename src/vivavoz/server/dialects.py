"""Which protocol a request asks for: GA, unless it names the beta or comes where only the beta was."""

from __future__ import annotations

import re

from aiohttp import web

from vivavoz.server.auth import subprotocols
from vivavoz.server.ports import OpenCall
from vivavoz.transports.dialect import GA, Beta, Dialect

SUBPROTOCOL = "openai-beta.realtime-v1"

_AZURE = "/openai/realtime"
"""Where Azure's SDK clients dial with an ``api-version``, whatever they speak."""
_FIRST_GA_VERSION = "2025-08-28"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def dialect_of(request: web.Request, call: OpenCall) -> Dialect:
    """What the connection that ``request`` opens will speak."""
    return Beta(call.conversation_id) if asks_for_beta(request) else GA


def asks_for_beta(request: web.Request) -> bool:
    named = ",".join(request.headers.getall("OpenAI-Beta", [])).split(",")
    if "realtime=v1" in (feature.strip() for feature in named) or SUBPROTOCOL in subprotocols(request):
        return True
    path = request.path.rstrip("/")
    if path == _AZURE:
        return not _is_ga(request.query.get("api-version", ""))
    # GA takes offers at realtime/calls only.
    return request.method == "POST" and path.endswith(("/realtime", "/realtimertc"))


def _is_ga(version: str) -> bool:
    """Versions without a date (``v1``, ``latest``) came with GA; no version at all came before."""
    dated = _DATE.match(version)
    return dated[0] >= _FIRST_GA_VERSION if dated else version != ""
