"""An HTTP transport that looks where each request goes, redirects included, and how much comes back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx2

from vivavoz.engines.mcp.policy import Policy
from vivavoz.engines.ports import EngineError

MAX_RESPONSE_BYTES = 4 * 2**20


class Guard(httpx2.AsyncBaseTransport):
    """Resolves the host itself and connects to the address that was checked: a name cannot mean one thing
    when it is checked and another when it is used. TLS still proves the name."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)
        self.status = 0
        """Of the last response."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        self._policy.check_url(url.scheme, url.host, url.userinfo.decode("ascii", "replace"))
        addresses = await _resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        address = self._policy.check_addresses(url.scheme, addresses)
        checked = httpx2.Request(
            request.method,
            url.copy_with(host=address),
            # They hold `Host` as the URL had it.
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.host},
        )
        response = await self._inner.handle_async_request(checked)
        self.status = response.status_code
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_RESPONSE_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise EngineError("The MCP server sent too much.", "mcp_too_large")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _resolve(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise EngineError("The MCP server's host is not known.", "mcp_unreachable") from None
    return [str(entry[4][0]) for entry in found]
