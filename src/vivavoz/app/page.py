"""The page at ``/``: static files, listed once at start, with headers that keep everything foreign out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""What a file is served as. Files of other kinds are not served."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Checked by its ETag every time: after an upgrade nobody runs half of the old page.
    "Cache-Control": "no-cache",
}


def web_root() -> Path:
    """The folder that ships in the package."""
    return Path(str(resources.files("vivavoz.app"))) / "web"


def page_routes(root: Path | None = None, *, offers_to: str | None = None) -> list[web.RouteDef]:
    """The page's files; empty where the package carries no page.

    ``offers_to``: the upstream's ``browser_url``. Where that is elsewhere, the page may reach its origin too.
    """
    headers = {**SECURITY_HEADERS, **_policy_for(offers_to)}
    return [web.get(path, _serve(file, headers)) for path, file in _files(root or web_root())]


def _policy_for(offers_to: str | None) -> dict[str, str]:
    url = urlsplit(offers_to or "")
    if not url.netloc:
        return {}
    name, origin = "Content-Security-Policy", f"{url.scheme}://{url.netloc}"
    return {name: SECURITY_HEADERS[name].replace("connect-src 'self'", f"connect-src 'self' {origin}")}


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    if not (root / "index.html").is_file():
        return
    yield "/", root / "index.html"
    for file in sorted(root.rglob("*")):
        if file.is_file() and file.suffix in TYPES:
            yield "/" + file.relative_to(root).as_posix(), file


def _serve(file: Path, policy: Mapping[str, str]) -> Handler:
    kind = TYPES[file.suffix]
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    headers = {**policy, "Content-Type": kind}

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(file, headers=headers)

    return handler
