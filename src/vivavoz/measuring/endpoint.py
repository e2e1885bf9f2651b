"""An endpoint under measurement: where it is, how one gets in, and what it says against it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urlsplit

import aiohttp

_HTTP_S = 15.0
_RESOLVE_S = 5.0
_MOST_SHOWN = 160
_MOST_READ = 1 << 20
_MEANING = {
    401: "the key is missing or wrong",
    403: "the key may not do this",
    404: "there is nothing at this path",
    405: "there is nothing at this path for this method",
    429: "the endpoint is full, or limits how often one may ask",
    503: "the endpoint is full, or not ready",
}


class Trouble(Exception):
    """Something cannot be measured; the text says why, and holds no secret. ``status`` is HTTP's, if that is
    what failed."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Endpoint:
    """``url``: with or without the path of the API (``/v1``, ``/openai/v1``). ``azure``: the key goes in
    ``api-key``, and WebRTC calls are made with client secrets. Raises :class:`Trouble` for a bad URL."""

    def __init__(self, url: str, *, model: str, key: str | None = None, azure: bool = False) -> None:
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise Trouble("the URL cannot be read: expected http://HOST:PORT") from None
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in ("http", "https") or not parts.hostname:
            raise Trouble("expected a URL as http://HOST:PORT or https://HOST")
        self.host = parts.hostname
        self.azure = azure
        path = parts.path.rstrip("/").removesuffix("/realtime")
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self._origin = f"{scheme}://{shown}{f':{port}' if port else ''}"
        self.shown = self._origin + (path or ("/openai/v1" if azure else "/v1"))
        """The base URL, without credentials or query."""
        self._model = model
        self._key = key
        self._http: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Endpoint]:
        """Connections are kept until the block ends."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HTTP_S)) as self._http:
            yield self

    async def addresses(self) -> list[str]:
        """The addresses of its host. Raises :class:`Trouble`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await loop.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            raise Trouble(f"the host {self.host} has no address") from None
        return list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))

    def headers(self) -> dict[str, str]:
        if not self._key:
            return {}
        return {"api-key": self._key} if self.azure else {"Authorization": f"Bearer {self._key}"}

    async def is_scripted(self) -> bool:
        """Whether it says of itself that it is vivavoz with scripted engines, which take any sound for
        speech."""
        assert self._http is not None
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
            async with self._http.get(f"{self._origin}/healthz", allow_redirects=False) as response:
                told = json.loads(await _whole(response))
                return isinstance(told, dict) and told.get("engine_set") == "scripted"
        return False

    async def secret(self) -> str | None:
        """A client secret, where calls need one. Raises :class:`Trouble`."""
        if not (self.azure and self._key):
            return None
        body = json.dumps({"session": {"type": "realtime", "model": self._model}})
        headers = {**self.headers(), "Content-Type": "application/json"}
        text = await self._post("/realtime/client_secrets", body, headers)
        try:
            return str(json.loads(text)["value"])
        except (ValueError, KeyError, TypeError):
            raise Trouble("POST /realtime/client_secrets: the answer has no 'value'") from None

    async def answer(self, offer: str, secret: str | None) -> str:
        """The SDP answer to an offer. Raises :class:`Trouble`."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else self.headers()
        return await self._post(
            f"/realtime/calls?model={quote(self._model, safe='')}",
            offer,
            {**headers, "Content-Type": "application/sdp"},
        )

    async def websocket(self) -> aiohttp.ClientWebSocketResponse:
        """Raises :class:`Trouble`."""
        assert self._http is not None
        try:
            async with asyncio.timeout(_HTTP_S):
                return await self._http.ws_connect(
                    f"{self.shown}/realtime?model={quote(self._model, safe='')}",
                    headers=self.headers(),
                    max_msg_size=1 << 24,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise self._refused("WebSocket /realtime", error.status, "") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable("WebSocket /realtime", error) from None

    async def _post(self, path: str, body: str, headers: Mapping[str, str]) -> str:
        assert self._http is not None
        what = f"POST {path.partition('?')[0]}"
        try:
            async with self._http.post(
                self.shown + path, data=body.encode(), headers=headers, allow_redirects=False
            ) as response:
                text = (await _whole(response)).decode(errors="replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(what, error) from None
        if response.status not in (200, 201):
            raise self._refused(what, response.status, text)
        return text

    def _refused(self, what: str, status: int, body: str) -> Trouble:
        """What a server says of a key may repeat it, so it is not shown."""
        said = "" if status in (401, 403) else _said(body)
        if self._key and self._key in said:
            said = ""
        meaning = _MEANING.get(status, "")
        return Trouble(f"{what}: " + ": ".join(filter(None, (str(status), meaning, said))), status)

    def _unreachable(self, what: str, error: Exception) -> Trouble:
        match error:
            case TimeoutError():
                reason = f"no answer within {_HTTP_S:g} s"
            case aiohttp.ClientConnectorCertificateError():
                reason = "its certificate is not trusted (SSL_CERT_FILE can name its authority)"
            case aiohttp.ClientConnectorError():
                reason = f"no connection: {error.strerror or 'refused'}"
            case aiohttp.ServerDisconnectedError() | ConnectionError():
                reason = "it hung up without an answer"
            case _:
                reason = type(error).__name__
        return Trouble(f"{what}: {reason}")


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """A body, as far as it is of any use. (One read gives what has come so far.)"""
    body = b""
    while len(body) < _MOST_READ and (piece := await response.content.read(_MOST_READ - len(body))):
        body += piece
    return body


def _said(body: str) -> str:
    try:
        error = json.loads(body)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return ""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_SHOWN else line[:_MOST_SHOWN] + "…"


def is_near(address: str) -> bool:
    """Whether an address is this machine's or of a private network."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_loopback or found.is_private or found.is_link_local


def own_addresses(toward: str) -> list[str]:
    """IPv4 addresses of this machine from which a peer there can be reached, best first.

    A service on loopback may name its other addresses (a container's, the network card's), so the one of the
    default route is offered beside loopback.
    """
    found = ["127.0.0.1"] if _is_loopback(toward) else []
    # An address that is never asked: connecting a UDP socket sends nothing.
    for target in ("192.0.2.1",) if found else (toward,):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.connect((target, 9))
            found.append(str(probe.getsockname()[0]))
    return list(dict.fromkeys(found)) or ["127.0.0.1"]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
