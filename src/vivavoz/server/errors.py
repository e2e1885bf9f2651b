"""Every failure of the HTTP side as the JSON body that clients read (``{"error": {...}}``)."""

from __future__ import annotations

import logging
import math
import secrets
from collections import Counter
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from vivavoz.server import cors
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.rest import error_body, gateway_error_body

log = logging.getLogger("vivavoz.server")

REQUEST_ID = web.RequestKey("request_id", str)
GATEWAY = web.RequestKey("gateway", bool)
"""Set where refusals shall look as those of Azure's gateway do."""

REFUSED = web.AppKey("refused", Counter[str])
"""How often, by the code in the answer."""

_GATEWAY_CODES = ("DeploymentNotFound", "OpperationNotSupported")


class ApiError(Exception):
    """A request that is refused: status and the members of the error body. ``message`` is shown to people;
    it carries no credential."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type: str = "invalid_request_error",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.type = type
        self.param = param
        self.headers = dict(headers or {})

    def response(self, gateway: bool = False) -> web.Response:
        """``gateway``: what Azure's gateway refuses has a body of two members, of which the code is often the
        status; what the service behind it refuses has all four."""
        if gateway and self.code in _GATEWAY_CODES:
            body = gateway_error_body(self.message, self.code)
        elif gateway and (self.status == 401 or self.code == "unknown_url"):
            body = gateway_error_body(self.message, str(self.status))
        else:
            body = error_body(self.message, type=self.type, code=self.code, param=self.param)
        return web.Response(
            status=self.status,
            body=body,
            content_type="application/json",
            charset="utf-8",
            headers=self.headers,
        )


def unavailable(message: str, *, code: str, retry_after_s: float) -> ApiError:
    """503 that says when to come back."""
    retry = str(max(1, math.ceil(retry_after_s)))
    return ApiError(503, message, code=code, type="server_error", headers={"Retry-After": retry})


def call_not_found(call_id: str) -> ApiError:
    # The id comes from the client: shown back, but never at length.
    return ApiError(
        404, f"No session found for the provided call_id: '{call_id[:80]}'.", code="call_id_not_found"
    )


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the request, and turn whatever goes wrong into a JSON answer with the route's CORS headers."""
    request[REQUEST_ID] = request_id = f"req_{secrets.token_hex(16)}"
    try:
        response = await handler(request)
    except ApiError as error:
        response = _refused(request, error)
    except ProtocolError as error:
        refusal = ApiError(400, error.message, code=error.code, type=error.type, param=error.param)
        response = _refused(request, refusal)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _refused(request, _of_framework(error, request))
    except ConnectionError:
        # The peer left while it was being answered: nobody reads what we would say.
        raise
    except Exception:
        log.exception("request %s failed: %s %.200r", request_id, request.method, request.path)
        said = f"The server had an error while processing your request. Its log names it {request_id}."
        response = _refused(request, ApiError(500, said, code="internal_error", type="server_error"))
    if not response.prepared:
        response.headers["x-request-id"] = request_id
        response.headers["Server"] = "vivavoz"
        cors.allow(request, response)
    return response


def _refused(request: web.Request, error: ApiError) -> web.Response:
    request.app[REFUSED][error.code or str(error.status)] += 1
    return error.response(request.get(GATEWAY, False))


def _of_framework(error: web.HTTPException, request: web.Request) -> ApiError:
    """aiohttp's own refusals, in our words. Their texts and their HTML stay inside."""
    method, path = request.method, request.path[:200]
    match error:
        case web.HTTPNotFound():
            return ApiError(404, f"Unknown request URL: {method} {path}.", code="unknown_url")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return ApiError(
                405,
                f"Method {method} is not allowed for {path}; allowed: {allowed}.",
                code="method_not_allowed",
                headers={"Allow": allowed},
            )
        case web.HTTPRequestEntityTooLarge():
            return ApiError(413, "The request body is too large.", code="request_too_large")
        case _:
            return ApiError(error.status, error.reason or "The request cannot be served.")
