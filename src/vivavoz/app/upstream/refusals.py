"""What a service's refusal becomes for our own caller.

A service's words may hold parts of a key or of a prompt, so they are never passed on nor logged: status, code
and the path of the offending member are, where they look like such.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import msgspec

from vivavoz.app.upstream.port import UpstreamError

log = logging.getLogger("vivavoz.app")

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PARAM = re.compile(r"[a-z][a-z0-9_]{0,40}(?:\.[a-z][a-z0-9_]{0,40}|\[\d{1,4}\]){0,12}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_MAX_RETRY_AFTER_S = 3600.0


class _Detail(msgspec.Struct):
    code: str | int | None = None
    param: str | None = None


class _Body(msgspec.Struct):
    error: _Detail


def refusal(what: str, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error for an answer that is not 2xx. ``what`` is what was asked for, as ``a token``."""
    detail = _detail(body)
    code = str(detail.code) if detail.code is not None and _CODE.fullmatch(str(detail.code)) else None
    param = detail.param if detail.param and _PARAM.fullmatch(detail.param) else None
    named = headers.get("apim-request-id") or headers.get("x-request-id") or ""
    log.warning(
        "the service refused %s: %d, code %s, param %s, its request %s",
        what,
        status,
        code,
        param,
        named if _REQUEST_ID.fullmatch(named) else None,
    )
    return _error(what, status, code, param, retry_after_s(headers))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` (RFC 9110, section 10.2.3), or the finer ``retry-after-ms`` that Azure sends; a date is
    not read. At most an hour."""
    for name, scale in (("retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        text = headers.get(name, "").strip()
        if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 12:
            return min(float(text) / scale, _MAX_RETRY_AFTER_S)
    return None


def _detail(body: bytes) -> _Detail:
    try:
        return msgspec.json.decode(body, type=_Body).error
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return _Detail()


def _error(
    what: str, status: int, code: str | None, param: str | None, retry_s: float | None
) -> UpstreamError:
    match status, code:
        case 401 | 403, "insufficient_quota":
            return UpstreamError(502, f"The service refused {what}: its quota is used up.", "upstream_quota")
        case 401, _:
            return UpstreamError(
                502,
                f"The service refused {what} (401): it does not accept this application's credential.",
                "upstream_credential_refused",
            )
        case 403, _:
            return UpstreamError(
                502,
                f"The service refused {what} (403{f', {code}' if code else ''}): this application may not do "
                "that there.",
                "upstream_forbidden",
            )
        case 404, "DeploymentNotFound" | "model_not_found":
            return UpstreamError(
                502,
                f"The service refused {what} (404): it has no deployment or model of the profile's name.",
                "DeploymentNotFound",
            )
        case 404, _:
            return UpstreamError(
                502,
                f"The service refused {what} (404): there is nothing at the configured address.",
                "upstream_not_found",
            )
        case 429, "insufficient_quota":
            return UpstreamError(
                429, f"The service refused {what}: its quota is used up.", "upstream_quota", None, retry_s
            )
        case 429, _:
            return UpstreamError(
                429,
                f"The service refused {what} (429): it has too much to do for this application.",
                "upstream_rate_limited",
                None,
                retry_s or 5.0,
            )
        case 400 | 409 | 413 | 415 | 422, "invalid_offer":
            return UpstreamError(400, "The service cannot use this SDP offer.", "invalid_offer", "sdp")
        case 400 | 409 | 413 | 415 | 422, _:
            return UpstreamError(
                502,
                f"The service refused {what} ({status}{f', {code}' if code else ''})"
                + (f": '{param}' of the session does not suit it." if param else "."),
                "upstream_refused",
                param,
            )
        case 503, _:
            return UpstreamError(
                503,
                f"The service cannot give {what} now (503{f', {code}' if code else ''}).",
                "upstream_unavailable",
                None,
                retry_s or 2.0,
            )
    return UpstreamError(
        502, f"The service failed to give {what} ({status}).", "upstream_failed", None, retry_s
    )
