"""A request that reached the wrong worker, carried to the right one by one direct stream.

The owner serves the same application on a unix socket and checks the request all over again, credentials
included: being relayed gives no rights.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict

RELAYED = "X-Vivavoz-Relayed"
"""Marks what was relayed once, so that two workers never pass one request to and fro."""

_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "sec-websocket-accept",
}
_CONNECT_S = 5.0
_ANSWER_S = 30.0
_CLOSE_S = 5.0


class OwnerUnreachable(Exception):
    """The worker that should hold the call does not answer (it is restarting, most likely)."""


def was_relayed(request: web.Request) -> bool:
    return RELAYED in request.headers


async def relay_http(request: web.Request, socket: Path) -> web.Response:
    """Send a (small) request on to the owner and bring its answer back. Raises OwnerUnreachable."""
    body = await request.read()
    try:
        async with (
            _session(socket) as session,
            session.request(
                request.method,
                _url(request),
                headers=_headers(request),
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=_CONNECT_S),
            ) as answer,
        ):
            headers = {
                name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise OwnerUnreachable from error


async def relay_websocket(
    request: web.Request, socket: Path, downstream: web.WebSocketResponse, max_message_bytes: int
) -> web.StreamResponse:
    """Join the client's WebSocket and the owner's: frames both ways, each side as fast as the other reads.

    The owner is dialled first, so that its refusal (404, 401) is the answer to the client's handshake.
    ``downstream`` is not prepared yet. Raises OwnerUnreachable.
    """
    async with _session(socket) as session:
        try:
            async with asyncio.timeout(_CONNECT_S):
                upstream = await session.ws_connect(
                    _url(request).replace("http://", "ws://", 1),
                    headers=_headers(request),
                    protocols=_offered(request),
                    max_msg_size=max_message_bytes,
                    compress=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            # The body of a refused handshake is not to be had here; ask again, without an upgrade.
            if error.status in (401, 403, 404, 429, 503):
                return await relay_http(request, socket)
            raise OwnerUnreachable from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise OwnerUnreachable from error
        await downstream.prepare(request)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(upstream, downstream))
                group.create_task(_pump(downstream, upstream))
        finally:
            await upstream.close()
    return downstream


async def _pump(
    source: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    sink: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
) -> None:
    """Frames from one side to the other until one of them closes; the close travels on as it came."""
    reason = b""
    while True:
        message = await source.receive()
        if message.type is WSMsgType.TEXT:
            sending = sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            sending = sink.send_bytes(message.data)
        else:
            reason = (message.extra or "").encode() if message.type is WSMsgType.CLOSE else b""
            break
        try:
            await sending
        except ConnectionError:
            # That side is gone; the other pump sees it too and closes this one.
            break
    code = source.close_code
    if code is None or code in (WSCloseCode.ABNORMAL_CLOSURE, 1005, 1015):
        code = WSCloseCode.GOING_AWAY if code == WSCloseCode.ABNORMAL_CLOSURE else WSCloseCode.OK
    await sink.close(code=code, message=reason)


def _session(socket: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(socket)), auto_decompress=False)


def _url(request: web.Request) -> str:
    # The name is never resolved: the connector dials the socket. Host is sent as the client sent it.
    return f"http://localhost{request.raw_path if request.raw_path.startswith('/') else '/'}"


def _headers(request: web.Request) -> CIMultiDict[str]:
    headers = CIMultiDict(
        (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
    )
    headers[RELAYED] = "1"
    return headers


def _offered(request: web.Request) -> list[str]:
    joined = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [name.strip() for name in joined.split(",") if name.strip()]
