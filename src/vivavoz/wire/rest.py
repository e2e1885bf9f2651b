"""Bodies of the REST endpoints (Realtime reference, "Client secrets" and "Calls")."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from msgspec import Meta

from vivavoz.wire.base import UNSET, Closed, Data, UnsetType, is_set
from vivavoz.wire.codec import decode, encode
from vivavoz.wire.errors import unknown
from vivavoz.wire.grants import Filter, Grant
from vivavoz.wire.options import AnyPatch, AnySessionObject

DEFAULT_SECRET_SECONDS = 600


class ExpiresAfter(Closed):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = DEFAULT_SECRET_SECONDS


class ClientSecretRequest(Closed):
    expires_after: ExpiresAfter | UnsetType | None = UNSET
    session: AnyPatch | UnsetType | None = UNSET

    @property
    def expires_after_seconds(self) -> int | None:
        """What the client asked for, or None."""
        return self.expires_after.seconds if isinstance(self.expires_after, ExpiresAfter) else None

    @property
    def patch(self) -> AnyPatch | None:
        return self.session if isinstance(self.session, AnyPatch) else None


class GrantedSecretRequest(ClientSecretRequest):
    """The request with our extension, which the hosted services do not know."""

    grant: Grant | UnsetType | None = UNSET


class SecretRevocation(Closed):
    """An extension: ``value`` opens nothing any more."""

    value: Annotated[str, Meta(min_length=1, max_length=16_384)]


class CallEntry(Data):
    """One live call. ``started_at``: Unix seconds."""

    id: str
    session_id: str
    model: str
    started_at: float
    filtered: Filter
    transport: Literal["webrtc", "websocket"]
    grant_label: str | None


class CallList(Data):
    """An extension: the calls of this service, of all its workers. ``cursor`` names this very set."""

    data: list[CallEntry]
    cursor: str
    object: Literal["list"] = "list"


class ClientSecret(Data):
    value: str
    expires_at: int
    session: AnySessionObject


class HttpErrorDetail(Data):
    message: str
    type: str
    param: str | None
    code: str | None


class HttpError(Data):
    error: HttpErrorDetail


class GatewayErrorDetail(Data):
    code: str
    message: str


class GatewayError(Data):
    """What Azure's gateway answers where it lets a request no further."""

    error: GatewayErrorDetail


def decode_client_secret_request(body: bytes, *, grants: bool = False) -> GrantedSecretRequest:
    """An empty body asks for the defaults. ``grants`` False: as the hosted services, which refuse the
    extension. Raises :class:`~vivavoz.wire.errors.ProtocolError`."""
    asked = decode(body, GrantedSecretRequest) if body.strip() else GrantedSecretRequest()
    if not grants and is_set(asked.grant):
        raise unknown("grant")
    return asked


def decode_grant(body: bytes) -> Grant:
    """The ``grant`` part of a call. Raises :class:`~vivavoz.wire.errors.ProtocolError`."""
    return decode(body, Grant)


def decode_session(body: str | bytes) -> AnyPatch:
    """The ``session`` part of a call. Raises :class:`~vivavoz.wire.errors.ProtocolError`."""
    patch: AnyPatch = decode(body, cast(Any, AnyPatch))
    return patch


def error_body(
    message: str,
    *,
    type: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
) -> bytes:
    return encode(HttpError(error=HttpErrorDetail(message=message, type=type, param=param, code=code)))


def gateway_error_body(message: str, code: str) -> bytes:
    return encode(GatewayError(error=GatewayErrorDetail(code=code, message=message)))
