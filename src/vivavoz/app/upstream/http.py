"""Requests to a service within bounds: each has its time, its size, and one kind of failure."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from vivavoz.app.upstream.credentials import Credential
from vivavoz.app.upstream.port import CallGone, UpstreamError
from vivavoz.app.upstream.refusals import refusal, retry_after_s

log = logging.getLogger("vivavoz.app")

CONNECTIONS = 100
"""Requests under way at once; what is more waits. WebSockets are not among them: they last."""
CONNECT_S = 5.0
REQUEST_S = 15.0
_MAX_BODY = 1024 * 1024
_MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one WebSocket message; services keep theirs below 1 MiB, but for retrieved sound."""
_KEEPALIVE_S = 20.0
"""Shorter than any service's own, so that a request hardly ever meets a connection being closed."""
_AGAIN_S = 0.3
_PATIENCE_S = 2.0
"""The longest ``Retry-After`` that is waited for here; a longer one is passed on."""
_PASSING = (500, 502, 503, 504)


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Unsent(UpstreamError):
    """No connection could be made: the service has not seen the request."""


class Http:
    """One service: one base URL, one credential, one client session for requests and one for WebSockets."""

    def __init__(
        self,
        base: str,
        credential: Credential,
        *,
        socket: str | None = None,
        connections: int = CONNECTIONS,
        connect_s: float = CONNECT_S,
        request_s: float = REQUEST_S,
    ) -> None:
        """``socket``: a unix socket to reach it by; ``base`` is a name then."""
        self._base = base.rstrip("/")
        self._credential = credential
        self._socket = socket
        self._connections = connections
        self._connect_s = connect_s
        self._request_s = request_s
        self._sessions: dict[int, aiohttp.ClientSession] = {}

    async def request(
        self,
        what: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        again: bool = False,
        anonymous: bool = False,
        request_s: float | None = None,
    ) -> Reply:
        """The answer, if it is 2xx. ``what`` is asked for, in words for errors; ``again``: asking twice does
        no harm, so a failure that passes is tried a second time; ``anonymous``: without the credential.
        Raises UpstreamError."""
        attempts = 2 if again else 1
        for attempt in range(1, attempts + 1):
            try:
                shown = {} if anonymous else await self._credential.headers()
                sent = {**(headers or {}), **shown}
                reply = await self._once(what, method, path, body, sent, params, request_s or self._request_s)
            except UpstreamError as error:
                if attempt == attempts or error.code not in ("upstream_unreachable", "upstream_broke_off"):
                    raise
                await _pause(_AGAIN_S)
                continue
            if 200 <= reply.status < 300:
                return reply
            if attempt < attempts:
                if reply.status == 401 and not anonymous and self._credential.refused(shown):
                    continue
                if reply.status in _PASSING and (retry_after_s(reply.headers) or 0.0) <= _PATIENCE_S:
                    await _pause(retry_after_s(reply.headers) or _AGAIN_S)
                    continue
            raise refusal(what, reply.status, reply.headers, reply.body)
        raise AssertionError("every attempt returns or raises")

    async def _once(
        self,
        what: str,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        request_s: float,
    ) -> Reply:
        try:
            async with self._client(self._connections).request(
                method,
                self._base + path,
                data=body,
                headers=headers,
                params=params,
                # A redirect would take the credential elsewhere.
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=request_s, sock_connect=self._connect_s),
            ) as answer:
                return Reply(answer.status, answer.headers, await _whole(answer))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _failure(what, error) from None

    async def websocket(
        self, path: str, params: Mapping[str, str], protocols: tuple[str, ...] = ()
    ) -> aiohttp.ClientWebSocketResponse:
        """Raises CallGone for 404, UpstreamError."""
        what = "the call's events"
        shown = await self._credential.headers()
        try:
            async with asyncio.timeout(self._request_s):
                return await self._client(0).ws_connect(
                    self._base + path,
                    params=params,
                    headers=shown,
                    protocols=protocols,
                    max_msg_size=_MAX_MESSAGE,
                    heartbeat=30.0,
                    autoping=True,
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 404:
                raise CallGone from None
            if error.status == 401:
                self._credential.refused(shown)
            raise refusal(what, error.status, error.headers or {}, b"") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _failure(what, error) from None

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        await self._credential.close()

    def _client(self, connections: int) -> aiohttp.ClientSession:
        """The session with so many connections at most; 0: any number."""
        if connections not in self._sessions:
            connector = (
                aiohttp.UnixConnector(self._socket, limit=connections, keepalive_timeout=_KEEPALIVE_S)
                if self._socket
                else aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEPALIVE_S)
            )
            self._sessions[connections] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "vivavoz-app"},
                # A proxy named by the environment carries requests to hosted services.
                trust_env=self._socket is None,
            )
        return self._sessions[connections]


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_any():
        data += piece
        if len(data) > _MAX_BODY:
            raise aiohttp.ClientPayloadError("too long")
    return bytes(data)


def _failure(what: str, error: BaseException) -> UpstreamError:
    """No text of the error: it names addresses, and what follows them."""
    kind = type(error).__name__
    if isinstance(error, TimeoutError):
        log.warning("the service was too slow for %s (%s)", what, kind)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Unsent(
                504, "The service cannot be reached: no connection in time.", "upstream_unreachable", None, 5
            )
        return UpstreamError(504, f"The service did not give {what} in time.", "upstream_slow", None, 5)
    log.warning("the service cannot be asked for %s (%s)", what, kind)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return UpstreamError(
            502, "The service's certificate is not trusted by this application.", "upstream_certificate"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unsent(502, "The service cannot be reached.", "upstream_unreachable", None, 5)
    return UpstreamError(
        502, f"The service broke off while it was asked for {what}.", "upstream_broke_off", None, 2
    )


async def multipart(parts: Mapping[str, tuple[str, str]]) -> tuple[bytes, str]:
    """``multipart/form-data`` of (content, its type) by name: the body, and its content type."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, (content, kind) in parts.items():
        form.add_field(name, content, content_type=kind)
    payload = form()
    return await payload.as_bytes(), payload.content_type


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds * (1 + random.random() / 4))
