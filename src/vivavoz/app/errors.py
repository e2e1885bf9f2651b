"""Every refusal and failure of the application as the JSON body that clients of the Realtime API know."""

from __future__ import annotations

import logging
import math
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler

from vivavoz.wire.rest import error_body

log = logging.getLogger("vivavoz.app")

REQUEST_ID = web.RequestKey("app_request_id", str)


class SetupError(Exception):
    """The application cannot be started as it is configured; the message names the key and what is
    expected."""


class AppError(Exception):
    """A request that cannot be served. ``message`` is shown to people: no credential, no prompt and nothing
    that was said may be in it. ``retry_after_s`` becomes ``Retry-After`` (whole seconds, at least 1)."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def type(self) -> str:
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def body(self) -> bytes:
        """``{"error": {message, type, code, param}}``."""
        return error_body(self.message, type=self.type, code=self.code, param=self.param)

    def response(self) -> web.Response:
        response = web.Response(
            status=self.status,
            body=self.body(),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
        if self.retry_after_s is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(self.retry_after_s)))
        if self.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the request, and answer whatever goes wrong in JSON."""
    request[REQUEST_ID] = request_id = f"app_{secrets.token_hex(12)}"
    try:
        response = await handler(request)
    except AppError as error:
        response = error.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _of_framework(error, request).response()
    except ConnectionError:
        # The peer left while it was being answered: nobody reads what we would say.
        raise
    except Exception as error:
        # Its text may hold what a caller or a service said: the place in the code is enough to find it.
        log.error("request %s failed: %s", request_id, where(error))
        response = AppError(
            500,
            f"The application had an error while processing your request. Its log names it {request_id}.",
            "internal_error",
        ).response()
    if not response.prepared:
        response.headers["x-request-id"] = request_id
    return response


def where(error: BaseException) -> str:
    """The kind of an error and the lines that led to it, innermost last, without its text."""
    steps = []
    trace = error.__traceback__
    while trace is not None:
        steps.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__} at {' > '.join(steps[-8:])}"


def _of_framework(error: web.HTTPException, request: web.Request) -> AppError:
    method, path = request.method, request.path[:200]
    match error:
        case web.HTTPNotFound():
            return AppError(404, f"Unknown request URL: {method} {path!r}.", "unknown_url")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return AppError(405, f"{method} is not allowed here; allowed: {allowed}.", "method_not_allowed")
        case web.HTTPRequestEntityTooLarge():
            return AppError(413, "The request body is too large.", "request_too_large")
        case _:
            return AppError(error.status, "The request cannot be served.", "bad_request")
