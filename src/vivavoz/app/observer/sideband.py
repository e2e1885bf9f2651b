"""Attaching to a call, and noticing its end however it ends.

A call may not be live yet (404 for a while), the service may restart or be out of reach for a while, and some
services never close the connection of a call whose browser has vanished: where the service does not list its
calls, a silent call is asked for by attaching once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
import msgspec

from vivavoz.app.observer.ports import Attachment, CallInfo, Sender
from vivavoz.app.upstream.port import CallGone, Upstream, UpstreamError

MAX_OUTBOX = 256
MAX_REASON = 200
BRIEF_S = 1.0
MAX_BRIEF = 8
"""Connections in a row that were closed within BRIEF_S."""
LIVE_PAUSE_S = 1.0
"""The longest pause while a new call is not live yet."""
_SEND_S = 10.0
_CLOSE_S = 2.0
_REFUSED = frozenset(
    {"upstream_credential_refused", "upstream_forbidden", "upstream_refused", "upstream_quota"}
)
EXTRAS = ("timings", "participants")


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    live_within: float = 30.0
    """How long a new call may be unknown to the service."""
    reached_within: float = 300.0
    """How long it is tried to reach a service that does not answer, or refuses."""
    first_pause: float = 0.1
    longest_pause: float = 10.0
    silence: float = 60.0
    """Without an event for so long, it is looked whether the call is still there."""
    longest_call: float = 2 * 3600.0
    """Where the service does not list its calls: hosted ones end theirs after an hour."""
    tick: float = 1.0
    tool: float = 30.0
    """What one tool may take."""


ENDED = "ended"


class Outgoing(NamedTuple):
    sender: Sender
    event: bytes


class Over(Exception):
    """The call has ended, or is given up; the text says why."""


class Sideband:
    """One call's connection to the service, made again whenever it breaks."""

    def __init__(
        self,
        info: CallInfo,
        upstream: Upstream,
        timing: Timing,
        *,
        known: bool,
        attachment: Callable[[Attachment], None],
        failed: Callable[[UpstreamError], None],
        received: Callable[[str | bytes], None],
        sent: Callable[[Outgoing], None],
    ) -> None:
        """``known``: the call was observed before, so that a 404 means its end. ``attachment`` is told of
        changes, ``failed`` of each new reason why attaching does not work; ``received`` gets text (events)
        and bytes (sound); ``sent`` is told what went out."""
        self.attached = False
        self._info = info
        self._upstream = upstream
        self._timing = timing
        self._known = known
        self._attachment = attachment
        self._failed = failed
        self._received = received
        self._sent = sent
        self._outbox: deque[Outgoing] = deque()
        self._news = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._over: str | None = None
        self._closing = ENDED
        self._brief = 0
        self._heard_at = 0.0

    @property
    def room(self) -> bool:
        return len(self._outbox) < MAX_OUTBOX

    def send(self, outgoing: Outgoing) -> None:
        """Goes out in order, once attached. The caller looks for ``room``."""
        self._outbox.append(outgoing)
        self._news.set()

    async def end(self, reason: str) -> None:
        """It is known otherwise that the call is over."""
        self._over = self._over or reason
        if self._socket is not None:
            await self._socket.close()

    # ------------------------------------------------------------------------------------ attaching

    async def attach(self, after: str | None) -> None:
        """``after``: where the service is to begin its events. Raises Over."""
        loop = asyncio.get_running_loop()
        began, pause, told = loop.time(), self._timing.first_pause, ""
        if self._brief:
            if self._brief >= MAX_BRIEF:
                raise Over("given up: the service closes the connection at once")
            await asyncio.sleep(min(pause * 2**self._brief, self._timing.longest_pause))
        while not self._over:
            try:
                self._socket = await self._observe(after)
            except CallGone:
                if self._known:
                    raise Over(self._closing) from None
                if loop.time() - began > self._timing.live_within:
                    raise Over("the service knows no such call") from None
                pause = min(pause, LIVE_PAUSE_S)
            except UpstreamError as error:
                if loop.time() - began > self._timing.reached_within:
                    raise Over(f"given up: {error.message}") from None
                if error.code != told:
                    told = error.code or ""
                    self._failed(error)
                if error.code in _REFUSED:
                    self._attachment("refused")
                pause = max(pause, min(error.retry_after_s or 0.0, self._timing.longest_pause))
            else:
                self._known = self.attached = True
                self._heard_at = loop.time()
                self._attachment("attached")
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.longest_pause)
        raise Over(self._over)

    async def _observe(self, after: str | None) -> aiohttp.ClientWebSocketResponse:
        able = self._upstream.abilities
        return await self._upstream.observe(
            self._info.call_id,
            role="control",
            after=after if able.replay else None,
            audio=self._info.record and able.audio,
            extras=EXTRAS if able.stages else (),
        )

    # ------------------------------------------------------------------------------------ attached

    async def follow(self) -> None:
        """Until the connection is closed. Raises Over where that is the end for certain."""
        socket = self._socket
        assert socket is not None
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(self._write(socket)), group.create_task(self._keep(socket))]
                self._closing = await self._read(socket)
                for task in beside:
                    task.cancel()
        finally:
            self.attached = False
            self._socket = None
            lasted = asyncio.get_running_loop().time() - began
            self._brief = self._brief + 1 if lasted < BRIEF_S else 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await socket.close()
        self._attachment("lost")
        if self._over:
            raise Over(self._over)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        loop = asyncio.get_running_loop()
        while True:
            message = await socket.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                self._heard_at = loop.time()
                self._received(message.data)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                said = (message.extra or "").strip()[:MAX_REASON]
                return said or ENDED
            elif message.type in (
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            ):
                return ENDED

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            while self._outbox:
                outgoing = self._outbox[0]
                try:
                    async with asyncio.timeout(_SEND_S):
                        await socket.send_str(outgoing.event.decode())
                except (OSError, TimeoutError, RuntimeError, aiohttp.ClientError):
                    # Broken, or stuck: it waits for the next connection.
                    await socket.close()
                    return
                self._outbox.popleft()
                self._sent(outgoing)
            self._news.clear()
            await self._news.wait()

    async def _keep(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Looks for an end that nobody tells. A service that lists its calls tells every one."""
        if self._upstream.abilities.lists_calls:
            return
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timing.silence / 4)
            if time.time() - self._info.started_at > self._timing.longest_call:
                await self.end("it lasted longer than the service lets any call last")
                return
            if loop.time() - self._heard_at < self._timing.silence:
                continue
            self._heard_at = loop.time()
            try:
                probe = await self._observe(None)
            except CallGone:
                await self.end("the service ended it without a word")
                return
            except UpstreamError:
                continue
            await probe.close()
