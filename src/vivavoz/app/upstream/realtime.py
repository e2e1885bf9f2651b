"""The part of the Realtime API that all upstreams share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from vivavoz.app.upstream.http import Http, Reply
from vivavoz.app.upstream.port import Abilities, Answer, CallGone, LiveCall, Role, Secret, UpstreamError

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_JSON = {"Content-Type": "application/json"}


class _ClientSecret(msgspec.Struct):
    value: str
    expires_at: int = 0
    session: dict[str, Any] | None = None


class Realtime:
    """An upstream but for ``connect``. ``prefix``: ``/v1`` or ``/openai/v1``."""

    def __init__(self, name: str, http: Http, prefix: str, browser_url: str, abilities: Abilities) -> None:
        self.name = name
        self.abilities = abilities
        self.browser_url = browser_url
        self._http = http
        self._prefix = prefix

    async def mint(
        self, session: Mapping[str, Any], *, seconds: int | None, grant: Mapping[str, Any] | None
    ) -> Secret:
        body: dict[str, Any] = {"session": session}
        if seconds is not None:
            body["expires_after"] = {"anchor": "created_at", "seconds": seconds}
        if grant is not None and self.abilities.binds_filter:
            body["grant"] = grant
        reply = await self._request(
            "a token",
            "POST",
            "/realtime/client_secrets",
            body=msgspec.json.encode(body),
            headers=_JSON,
            # A token that nobody was given opens nothing.
            again=True,
        )
        try:
            secret = msgspec.json.decode(reply.body, type=_ClientSecret)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise strange("a token") from None
        if not secret.value:
            raise strange("a token")
        return Secret(value=secret.value, expires_at=secret.expires_at, session=secret.session)

    async def observe(
        self,
        call_id: str,
        *,
        role: Role = "control",
        after: str | None = None,
        audio: bool = False,
        extras: tuple[str, ...] = (),
    ) -> aiohttp.ClientWebSocketResponse:
        params = {"call_id": checked_call_id(call_id)}
        if self.abilities.roles:
            params["role"] = role
        if self.abilities.replay and after is not None:
            params["after"] = after
        if self.abilities.audio and audio:
            params["audio"] = "both"
        if self.abilities.stages and extras:
            params["extras"] = ",".join(extras)
        return await self._websocket("/realtime", params)

    async def hangup(self, call_id: str) -> None:
        path = f"/realtime/calls/{checked_call_id(call_id)}/hangup"
        try:
            await self._request("the call's end", "POST", path, again=True)
        except UpstreamError as error:
            if error.code != "upstream_not_found":
                raise

    async def live_calls(self, cursor: str | None, wait_s: float) -> tuple[list[LiveCall], str]:
        raise UpstreamError(501, f"{self.name} does not list its calls.", "not_supported")

    async def close(self) -> None:
        await self._http.close()

    async def _websocket(self, path: str, params: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse:
        return await self._http.websocket(self._prefix + path, params)

    async def _request(self, what: str, method: str, path: str, **options: Any) -> Reply:
        return await self._http.request(what, method, self._prefix + path, **options)


def checked_call_id(call_id: str) -> str:
    """Only what can stand in a URL. Raises CallGone: no service has a call of another name."""
    if not _CALL_ID.fullmatch(call_id):
        raise CallGone
    return call_id


def answered(reply: Reply) -> Answer:
    """The SDP answer of ``POST /realtime/calls``, and the call's id from ``Location``. Raises
    UpstreamError."""
    try:
        sdp = reply.body.decode()
    except UnicodeDecodeError:
        raise strange("an SDP answer") from None
    if not sdp.lstrip().startswith("v=0"):
        raise strange("an SDP answer")
    named = reply.headers.get("Location", "").partition("?")[0].rstrip("/").rpartition("/")[2]
    return Answer(sdp=sdp, call_id=named if _CALL_ID.fullmatch(named) else None)


def strange(what: str) -> UpstreamError:
    return UpstreamError(502, f"The service answered, but not with {what}.", "upstream_answer")
