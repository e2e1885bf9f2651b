"""``POST /realtime/sessions`` and ``…/transcription_sessions``: a flat session in; the session object with
its client secret out."""

from __future__ import annotations

from typing import Any

import msgspec

from vivavoz.wire.base import Closed
from vivavoz.wire.beta.incoming import session_to_ga
from vivavoz.wire.beta.outgoing import error_to_beta, session_to_beta
from vivavoz.wire.codec import decode, plain, translate
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import Kind
from vivavoz.wire.rest import ClientSecret, ExpiresAfter

SECRET_SECONDS = 60
"""Life of a client secret whose request names none."""


class _SecretOptions(Closed):
    expires_after: ExpiresAfter | None = None
    expires_at: ExpiresAfter | None = None
    """The same, as transcription sessions call it."""


class _Secret(Closed):
    client_secret: _SecretOptions | None = None


def secret_request_to_ga(body: bytes, kind: Kind = "realtime", *, grants: bool = False) -> bytes:
    """The GA body that asks for the same client secret. ``grants``: our extension may be in it. Raises
    :class:`ProtocolError`."""
    session = decode(body, dict[str, Any]) if body.strip() else {}
    try:
        secret = msgspec.convert({"client_secret": session.pop("client_secret", None)}, _Secret).client_secret
    except msgspec.ValidationError as failure:
        raise translate(failure, _Secret) from None
    extension = {"grant": session.pop("grant")} if grants and "grant" in session else {}
    expiry = secret.expires_after or secret.expires_at if secret is not None else None
    return msgspec.json.encode(
        {
            "session": session_to_ga(session, "", kind),
            "expires_after": expiry or ExpiresAfter(seconds=SECRET_SECONDS),
            **extension,
        }
    )


def secret_to_beta(secret: ClientSecret) -> bytes:
    """The answer's body."""
    session = session_to_beta(plain(secret.session))
    session["client_secret"] = {"value": secret.value, "expires_at": secret.expires_at}
    return msgspec.json.encode(session)


def request_error_to_beta(error: ProtocolError) -> ProtocolError:
    """An error about the GA body, as one about the body that the client sent: its session is the whole."""
    error = error_to_beta(error)
    if error.param is None:
        return error
    param = error.param.removeprefix("session.")
    message = error.message.replace(f"'{error.param}'", f"'{param}'", 1)
    return ProtocolError(message, code=error.code, param=param, event_id=error.event_id, type=error.type)
