"""Cross-origin rules: browsers elsewhere may open calls with a client secret, and nothing else.

Responses to ``client_secrets`` and ``hangup`` carry no such headers: they are meant for back ends.
"""

from __future__ import annotations

from aiohttp import web

_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Location, X-Request-Id",
    "Timing-Allow-Origin": "*",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
_ALWAYS_ALLOWED = ("authorization", "content-type", "x-openai-agents-sdk")


def _applies(request: web.Request) -> bool:
    # By path, not by route: an error before or beside routing (405, 413) must carry the headers as well.
    path = request.path.rstrip("/")
    if path.endswith(("/realtime", "/realtimertc")):
        # Where the beta takes offers; the WebSocket at the same path knows no such headers.
        return request.method in ("POST", "OPTIONS")
    # The list of calls at the same path is for back ends.
    return path.endswith(("/realtime/calls", "/realtime/translations/calls")) and request.method != "GET"


def allow(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers where the route is open to browsers elsewhere."""
    if _applies(request):
        response.headers.update(_HEADERS)


async def preflight(request: web.Request) -> web.Response:
    """Answer ``OPTIONS`` without credentials (browsers send none). ``*`` would not cover Authorization, so
    the names asked for are named back, with the ones that clients are known to need."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    names = {name.strip().lower() for name in asked.split(",") if _is_token(name.strip())}
    allowed = ", ".join([*_ALWAYS_ALLOWED, *sorted(names - set(_ALWAYS_ALLOWED))[:32]])
    headers = {
        **_PREFLIGHT,
        "Access-Control-Allow-Headers": allowed,
        "Vary": "Access-Control-Request-Headers",
    }
    return web.Response(status=204, headers=headers)


def _is_token(name: str) -> bool:
    return 0 < len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
