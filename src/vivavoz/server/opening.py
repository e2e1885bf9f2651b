"""Opening a call: the one way in, whatever the transport, with every refusal in HTTP's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET

from vivavoz.call.registry import AtCapacity, UnknownModel
from vivavoz.config import DEFAULT_MODEL
from vivavoz.server.auth import Principal
from vivavoz.server.engine_pool import NotReady
from vivavoz.server.errors import ApiError, unavailable
from vivavoz.server.granting import check_session
from vivavoz.server.ports import OpenCall
from vivavoz.server.service import SERVICE, Service
from vivavoz.wire.grants import Grant
from vivavoz.wire.merging import check_kind
from vivavoz.wire.options import (
    AnyPatch,
    AudioPatch,
    InputPatch,
    Kind,
    OutputPatch,
    TranscriptionAudioPatch,
    TranscriptionPatch,
    kind_of,
    model_of,
)


def model_not_found(request: web.Request, model: str) -> ApiError:
    """404 in the words of the cloud whose path was used."""
    service: Service = request.app[SERVICE]
    azure = request.path.startswith("/openai/")
    why = "it is not configured" + ("" if service.config.server.strict_azure else " and strict_models is on")
    return ApiError(
        404,
        f"The {'deployment' if azure else 'model'} '{model[:120]}' does not exist here: {why}.",
        code="DeploymentNotFound" if azure else "model_not_found",
        param="model",
    )


def check_converses(request: web.Request, model: str, kind: Kind) -> None:
    """Raises ApiError (400, in the words of the cloud whose path was used) where the model's engines have
    nothing that answers, and it is to converse."""
    service: Service = request.app[SERVICE]
    if kind == "transcription" or not service.config.transcribes_only(model):
        return
    azure = request.path.startswith("/openai/")
    raise ApiError(
        400,
        f"The {'deployment' if azure else 'model'} '{model[:120]}' does not converse: its engines have no "
        "language model. Open a transcription session.",
        # Azure's own spelling, which clients compare with.
        code="OpperationNotSupported" if azure else "model_not_supported",
        param="model",
    )


def named_model(request: web.Request, session: AnyPatch | None, principal: Principal) -> str | None:
    """The model that the request asks for: in the session, in the token, or in the URL, where Azure's
    clients call it ``deployment``."""
    if (model := model_of(session)) is not None:
        return model
    if principal.secret is not None and principal.secret.model:
        return principal.secret.model
    return request.query.get("model") or request.query.get("deployment") or None


async def open_call(
    request: web.Request, principal: Principal, session: AnyPatch | None, grant: Grant | None = None
) -> OpenCall:
    """A new call, its session from the token, changed by ``session``; bound by ``grant``. Raises ApiError,
    ProtocolError."""
    service: Service = request.app[SERVICE]
    await service.admit()
    if grant is not None:
        check_session(grant, session)
    session = intended(request, session)
    secret = principal.secret
    if secret is not None and secret.translation is not None:
        raise other_kind("translation", "realtime/translations")
    if secret is not None and secret.session is not None:
        session = secret.session if session is None else overlay(secret.session, session)
    named = named_model(request, session, principal)
    model = named or service.config.default_model
    check_converses(request, model, kind_of(session) if session is not None else "realtime")
    await ensure_serving(request, service, model)
    with in_http(request, model):
        return service.calls.open(
            session,
            # Nobody has named a model: the client's first session.update may.
            None if named is None and model == DEFAULT_MODEL else model,
            session_id=secret.session_id if secret is not None else None,
            client=request.remote or "",
            grant=grant,
            account=principal.account,
        )


def other_kind(kind: str, where: str) -> ApiError:
    """A client secret was shown that is for sessions of another kind."""
    return ApiError(
        403,
        f"This client secret opens {kind} sessions only: use it with {where}.",
        code="client_secret_wrong_kind",
    )


@contextlib.contextmanager
def in_http(request: web.Request, model: str) -> Iterator[None]:
    """Why a call cannot be opened, in HTTP's words."""
    try:
        yield
    except AtCapacity:
        raise unavailable(
            "All sessions of this server are in use. Try again shortly.",
            code="server_at_capacity",
            retry_after_s=5,
        ) from None
    except UnknownModel:
        raise model_not_found(request, model) from None


def intended(request: web.Request, session: AnyPatch | None) -> AnyPatch | None:
    """``intent=transcription`` in the URL begins a transcription session."""
    if session is None and request.query.get("intent") == "transcription":
        return TranscriptionPatch()
    return session


def overlay(below: AnyPatch, above: AnyPatch) -> AnyPatch:
    """``below`` as ``above`` changes it, member by member, as a ``session.update`` would. Raises
    ProtocolError where they are for different kinds of session."""
    check_kind(above, kind_of(below))
    merged: AnyPatch = _overlay(below, above)
    return merged


_MERGED = AudioPatch | TranscriptionAudioPatch | InputPatch | OutputPatch


def _overlay(below: Any, above: Any) -> Any:
    changes = {}
    for name in above.__struct_fields__:
        new, old = getattr(above, name), getattr(below, name)
        if new is UNSET:
            continue
        both_merge = isinstance(new, _MERGED) and old is not UNSET
        changes[name] = _overlay(old, new) if both_merge else new
    return msgspec.structs.replace(below, **changes)


async def ensure_serving(request: web.Request, service: Service, model: str) -> None:
    """Engines that still load get a moment. Raises ApiError (503, 404)."""
    if service.draining:
        raise draining(service)
    service.admission.check()
    try:
        await service.engines.wait_ready(model, service.config.server.ready_wait_seconds)
    except KeyError:
        raise model_not_found(request, model) from None
    except NotReady as reason:
        if reason.failed:
            raise unavailable(
                f"The engines '{reason.set_name}' could not be loaded; /healthz says why.",
                code="engines_failed",
                retry_after_s=60,
            ) from None
        raise unavailable(
            f"The engines '{reason.set_name}' are still loading. Try again shortly.",
            code="engines_loading",
            retry_after_s=2,
        ) from None
    if service.draining:
        raise draining(service)


def draining(service: Service) -> ApiError:
    return unavailable(
        "The server is shutting down and takes no new calls.",
        code="server_draining",
        retry_after_s=max(5.0, service.config.server.drain_seconds),
    )
