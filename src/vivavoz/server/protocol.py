"""aiohttp's connection handling with our manners where no application is reached yet.

Requests that are no HTTP never come to a middleware: the library answers them itself, with text or HTML, and
logs them with what was in them (which may be a key in a URL). Here they get the same JSON as everything else,
and the log gets a name.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from vivavoz.wire.rest import error_body

log = logging.getLogger("vivavoz.server")

MAX_HEADER_BYTES = 16 * 1024
"""A header line: client secrets are at most 4 kB, an operator's keys and proxies' additions may be longer."""


KEEPALIVE_S = 60.0
"""How long a connection may wait for its next whole request, and a new one for its first."""


class JsonProtocol(web.RequestHandler):
    """One HTTP connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        log.info("refused a malformed request (%d, %s)", status, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a response was under way already")
        kind = "invalid_request_error" if status < 500 else "server_error"
        what = "The request is not valid HTTP." if status < 500 else "The server had an error."
        response = web.Response(
            status=status,
            body=error_body(what, type=kind, code="bad_request"),
            content_type="application/json",
        )
        response.force_close()
        return response


class JsonServer(web.Server):
    """Makes a :class:`JsonProtocol` for every connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._protocol_options = {
            name: value
            for name, value in kwargs.items()
            if name not in ("request_factory", "handler_cancellation", "loop")
        }

    def __call__(self) -> web.RequestHandler:
        return JsonProtocol(self, loop=self._loop, **self._protocol_options)


class JsonRunner(web.AppRunner):
    """Runs an application. No access log of the library's: it would write keys in URLs down."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            max_field_size=MAX_HEADER_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            **kwargs,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs
        return JsonServer(
            made.request_handler,
            request_factory=made.request_factory,
            loop=made._loop,
            **options,
        )
