"""``GET /realtime/calls`` (an extension): the live calls of all workers, at once or when they change.

Every worker versions its own calls. A cursor names the version of each (``00=9f2c-4,01=…``), so that whoever
waits is answered as soon as one of them differs, and whichever worker is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from vivavoz.cluster.directory import TAG_DIGITS
from vivavoz.cluster.relay import OwnerUnreachable, ask, was_relayed
from vivavoz.server.errors import ApiError
from vivavoz.server.service import SERVICE, Service
from vivavoz.wire.codec import encode
from vivavoz.wire.rest import CallList

MAX_WAIT_S = 25.0

_CURSOR = re.compile(r"[0-9a-f]{2}=[0-9a-z-]{0,40}(,[0-9a-f]{2}=[0-9a-z-]{0,40}){0,255}")
_AWAY = ""
"""The version of a worker that does not answer; its calls are gone with it."""
_AGAIN_S = 1.0
"""How often a worker that does not answer is looked for."""


async def list_calls(request: web.Request) -> web.Response:
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    cursor, wait_s = _cursor(request), _wait(request)
    workers = Workers(request, service)
    known = None if cursor is None or wait_s <= 0 else cursor
    if known is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await workers.other_than(known)
    found = await workers.ask_all()
    return web.Response(
        body=encode(
            CallList(
                data=[entry for page in found.values() for entry in page.data],
                cursor=",".join(f"{tag}={page.cursor}" for tag, page in sorted(found.items())),
            )
        ),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


class Workers:
    """This worker and, where the request comes from outside, the others."""

    def __init__(self, request: web.Request, service: Service) -> None:
        self._request = request
        self._calls = service.calls
        self._own = service.directory.own_tag
        self._others = {} if was_relayed(request) else dict(service.directory.others)

    async def ask_all(self) -> dict[str, CallList]:
        """Each one's calls, with its version for a cursor."""
        others = await asyncio.gather(*(self._ask(tag) for tag in self._others))
        own = CallList(data=self._calls.entries(), cursor=self._calls.version)
        return {self._own: own, **dict(zip(self._others, others, strict=True))}

    async def other_than(self, cursor: Mapping[str, str]) -> None:
        """Wait until one of them is not as ``cursor`` says, or has come or gone."""
        if cursor.keys() != {self._own, *self._others}:
            return
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._calls.other_than(cursor[self._own]))]
            waiting += [group.create_task(self._differs(tag, cursor[tag])) for tag in self._others]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    async def _differs(self, tag: str, version: str) -> None:
        while (await self._ask(tag, version)).cursor == version:
            if version == _AWAY:
                await asyncio.sleep(_AGAIN_S)

    async def _ask(self, tag: str, unless: str | None = None) -> CallList:
        """What another worker has; ``unless`` it is this version: then it takes its time."""
        query = {} if not unless else {"cursor": f"{tag}={unless}", "wait": f"{MAX_WAIT_S:g}"}
        try:
            body = await ask(
                self._request, self._others[tag].socket, urlencode(query), MAX_WAIT_S if query else 0.0
            )
            page = msgspec.json.decode(body, type=CallList)
        except (OwnerUnreachable, msgspec.MsgspecError):
            return CallList(data=[], cursor=_AWAY)
        # It names itself: here its version is wanted.
        return CallList(data=page.data, cursor=page.cursor.removeprefix(f"{tag}="))


def _cursor(request: web.Request) -> dict[str, str] | None:
    """Raises ApiError."""
    text = request.query.get("cursor")
    if not text:
        return None
    if not _CURSOR.fullmatch(text):
        raise ApiError(
            400, "The 'cursor' is not one that this list has given.", code="invalid_value", param="cursor"
        )
    return {part[:TAG_DIGITS]: part[TAG_DIGITS + 1 :] for part in text.split(",")}


def _wait(request: web.Request) -> float:
    """Seconds. Raises ApiError."""
    text = request.query.get("wait") or "0"
    if not re.fullmatch(r"\d{1,2}(\.\d{1,3})?", text) or float(text) > MAX_WAIT_S:
        raise ApiError(
            400,
            f"'wait' is a number of seconds between 0 and {MAX_WAIT_S:g}.",
            code="invalid_value",
            param="wait",
        )
    return float(text)
