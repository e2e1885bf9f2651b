"""What a grant allows of a new call (an extension; docs/observers.md)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from vivavoz.server.auth import Principal
from vivavoz.server.errors import ApiError, unavailable
from vivavoz.server.service import Service
from vivavoz.server.store import StoreFull
from vivavoz.server.tokens import TokenError
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.grants import Grant
from vivavoz.wire.options import AnyPatch

log = logging.getLogger("vivavoz.server")


def grant_of(principal: Principal, shown: Grant | None) -> Grant | None:
    """What binds the call: the token's grant, or ``shown``, which comes with a key. Raises ApiError."""
    if shown is None:
        return principal.secret.grant if principal.secret is not None else None
    if principal.kind == "token":
        raise ApiError(
            403,
            "A client secret (ek_…) cannot grant anything: its grant was bound when it was minted.",
            code="api_key_required",
            param="grant",
        )
    if shown.max_calls is not None:
        raise ApiError(
            400,
            "'grant.max_calls' counts the calls of a client secret; here is one call.",
            code="invalid_value",
            param="grant.max_calls",
        )
    return shown


def check_session(grant: Grant, session: AnyPatch | None) -> None:
    """Whether the caller may bring this session. Raises ApiError (403)."""
    if session is None:
        return
    if grant.client_events is not None and "session.update" not in grant.client_events:
        raise ApiError(
            403,
            "The client secret grants no 'session.update', so the call can bring no session of its own.",
            code="session_not_granted",
            param="session",
        )
    try:
        grant.check_session(session, "session")
    except ProtocolError as error:
        raise ApiError(403, error.message, code=error.code, param=error.param) from None


def check_websocket(principal: Principal) -> None:
    """Raises ApiError (403): over a WebSocket all events are sent, so a filter would be got round there."""
    grant = grant_of(principal, None)
    if grant is not None and grant.filter is not None:
        raise ApiError(
            403,
            "The client secret binds a filter of events, so it opens WebRTC calls only: POST realtime/calls.",
            code="grant_needs_webrtc",
        )


@contextlib.asynccontextmanager
async def one_call(service: Service, principal: Principal) -> AsyncIterator[None]:
    """The block opens one call. It counts against the token unless the block fails. Raises ApiError (403
    where the token has opened as many as it may)."""
    if principal.secret is None:
        yield
        return
    try:
        claim = await service.tokens.claim(principal.secret)
    except TokenError as error:
        raise ApiError(403, error.message, code=error.code) from None
    except (StoreFull, OSError) as error:
        raise cannot_note(error) from None
    try:
        yield
    except BaseException:
        if claim is not None:
            with contextlib.suppress(OSError):
                await service.tokens.release(claim)
        raise


def cannot_note(error: Exception) -> ApiError:
    """The store has no room, or cannot be written."""
    log.error("what becomes of a client secret cannot be noted: %s", str(error) or "the store is full")
    return unavailable(
        "The server cannot note now what becomes of this client secret.",
        code="store_full" if isinstance(error, StoreFull) else "store_unavailable",
        retry_after_s=60,
    )
