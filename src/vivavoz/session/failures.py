"""Why responses fail: the protocol's codes, and whose fault each is."""

from __future__ import annotations

from vivavoz.wire.responses import ResponseError, StatusDetails

TOO_LONG = "context_length_exceeded"
RATE_LIMIT = "rate_limit_exceeded"

_TYPES = {RATE_LIMIT: "rate_limit_error", TOO_LONG: "invalid_request_error"}


def failed(code: str, message: str) -> StatusDetails:
    """The details of a response that failed so. What has no type of its own is the server's fault."""
    error = ResponseError(type=_TYPES.get(code, "server_error"), code=code, message=message)
    return StatusDetails(type="failed", error=error)
