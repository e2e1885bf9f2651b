"""Bodies of the REST endpoints (Realtime reference, "Client secrets" and "Calls")."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from msgspec import Meta

from vivavoz.wire.base import UNSET, Closed, Data, UnsetType
from vivavoz.wire.codec import decode, encode
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


def decode_client_secret_request(body: bytes) -> ClientSecretRequest:
    """An empty body asks for the defaults. Raises :class:`~vivavoz.wire.errors.ProtocolError`."""
    return decode(body, ClientSecretRequest) if body.strip() else ClientSecretRequest()


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
