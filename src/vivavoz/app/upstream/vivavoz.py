"""This project's own service: over the unix sockets of its workers, or at an address with its key."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec.json import encode

from vivavoz.app.config import Filter
from vivavoz.app.upstream.http import REQUEST_S, Http, Reply, Unsent, multipart
from vivavoz.app.upstream.port import Abilities, Answer, LiveCall
from vivavoz.app.upstream.realtime import Realtime, answered, strange

ABILITIES = Abilities(
    filter=True,
    binds_filter=True,
    roles=True,
    replay=True,
    audio=True,
    stages=True,
    lists_calls=True,
    one_call_tokens=True,
)
PREFIX = "/v1"

_T = TypeVar("_T")


class _Calls(msgspec.Struct):
    data: list[LiveCall]
    cursor: str


class Vivavoz(Realtime):
    def __init__(self, workers: Sequence[Http], browser_url: str = f"{PREFIX}/realtime/calls") -> None:
        """``workers``: ways to the same service; each knows all tokens, and relays what is another's."""
        super().__init__("vivavoz", workers[0], PREFIX, browser_url, ABILITIES)
        self._workers = workers
        self._turns = count()

    async def connect(
        self, offer: str, session: Mapping[str, Any], *, filtered: Filter, grant: Mapping[str, Any] | None
    ) -> Answer:
        parts = {"sdp": (offer, "application/sdp"), "session": (encode(session).decode(), "application/json")}
        if grant is not None:
            parts["grant"] = (encode(grant).decode(), "application/json")
        body, kind = await multipart(parts)
        params = {} if filtered == "off" else {"webrtcfilter": filtered}
        headers = {"Content-Type": kind}
        reply = await self._request(
            "a call", "POST", "/realtime/calls", body=body, headers=headers, params=params
        )
        return answered(reply)

    async def live_calls(self, cursor: str | None, wait_s: float) -> tuple[list[LiveCall], str]:
        params = {} if cursor is None else {"cursor": cursor, "wait": f"{wait_s:.0f}"}
        reply = await self._request(
            "its calls", "GET", "/realtime/calls", params=params, request_s=wait_s + REQUEST_S
        )
        try:
            found = msgspec.json.decode(reply.body, type=_Calls)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise strange("its calls") from None
        return found.data, found.cursor

    async def engines(self) -> list[dict[str, Any]]:
        """The rows of ``GET /healthz``: which model does what, and whether it is ready. Raises
        UpstreamError."""
        reply = await self._tried("its state", "GET", "/healthz", request_s=3.0)
        try:
            rows = msgspec.json.decode(reply.body, type=dict[str, Any]).get("engines")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise strange("its state") from None
        return rows if isinstance(rows, list) else []

    async def close(self) -> None:
        for worker in self._workers:
            await worker.close()

    async def _request(self, what: str, method: str, path: str, **options: Any) -> Reply:
        return await self._tried(what, method, PREFIX + path, **options)

    async def _websocket(self, path: str, params: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse:
        return await self._first(lambda worker: worker.websocket(PREFIX + path, params))

    async def _tried(self, what: str, method: str, path: str, **options: Any) -> Reply:
        return await self._first(lambda worker: worker.request(what, method, path, **options))

    async def _first(self, ask: Callable[[Http], Awaitable[_T]]) -> _T:
        """Workers in turn; one that cannot be reached (it is restarting) has not seen the request."""
        *others, last = self._in_turn()
        for worker in others:
            with contextlib.suppress(Unsent):
                return await ask(worker)
        return await ask(last)

    def _in_turn(self) -> list[Http]:
        first = next(self._turns) % len(self._workers)
        return [*self._workers[first:], *self._workers[:first]]
