"""A request that reached the wrong process, carried to the right one by one direct stream.

That is the worker that holds a call, or the application's process. The owner listens on a unix socket and
checks the request all over again, credentials included: being relayed gives no rights.
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
_SHORT_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024


class OwnerUnreachable(Exception):
    """The worker that should hold the call does not answer (it is restarting, most likely)."""


def was_relayed(request: web.Request) -> bool:
    return RELAYED in request.headers


async def relay_http(request: web.Request, socket: Path, body: bytes = b"") -> web.StreamResponse:
    """Send a (small) request on to the owner and bring its answer back, a long one piece by piece. ``body``:
    the request's, which the caller has read within its bounds. Raises OwnerUnreachable."""
    async with _session(socket) as session:
        try:
            answer = await session.request(
                request.method,
                _url(request),
                headers=_headers(request),
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_ANSWER_S),
            )
            # The length that answers a HEAD is not that of its body, which is empty.
            length = answer.content_length if request.method != "HEAD" else None
            whole = await answer.read() if length is not None and length <= _SHORT_BYTES else None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise OwnerUnreachable from error
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        if whole is not None:
            return web.Response(status=answer.status, body=whole, headers=headers)
        return await _stream(request, answer, headers)


async def _stream(
    request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
) -> web.StreamResponse:
    """An owner that fails in the middle ends the client's connection too: half an answer is never taken for a
    whole one."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = answer.content_length
    await response.prepare(request)
    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
        await response.write(piece)
    await response.write_eof()
    return response


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
            if error.status < 500 or error.status == 503:
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
    # What came packed was unpacked when it was read.
    headers.popall("Content-Encoding", None)
    headers[RELAYED] = "1"
    # Appended as proxies do: what a client itself wrote there stands before it.
    headers["X-Forwarded-For"] = ", ".join(
        [*request.headers.getall("X-Forwarded-For", []), request.remote or "unknown"]
    )
    return headers


def _offered(request: web.Request) -> list[str]:
    joined = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [name.strip() for name in joined.split(",") if name.strip()]


async def ask(request: web.Request, socket: Path, query: str, wait_s: float) -> bytes:
    """What another worker answers to this very request (of no body) with another ``query``. ``wait_s``: how
    long it may take its time. Raises OwnerUnreachable for anything but a 200."""
    try:
        async with (
            _session(socket) as session,
            session.get(
                f"http://localhost{request.rel_url.raw_path}?{query}",
                headers=_headers(request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=wait_s + _CONNECT_S, sock_connect=_CONNECT_S),
            ) as answer,
        ):
            if answer.status != 200:
                raise OwnerUnreachable
            return await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise OwnerUnreachable from error
