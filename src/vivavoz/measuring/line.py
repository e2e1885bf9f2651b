"""A call as it is measured: over WebRTC or a WebSocket, with the same questions asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Literal

import aiohttp

from vivavoz.measuring.answer import AnswerError
from vivavoz.measuring.endpoint import Endpoint, Trouble
from vivavoz.measuring.inbox import Ended, Event, Inbox
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Utterance, Voice
from vivavoz.measuring.websocket import Player, Socket
from vivavoz.media.dtls import DtlsError

Transport = Literal["webrtc", "websocket"]
CREATED_S = 15.0
QUIET_S = 1.5
"""A voice that pauses for less than this has not ended."""
_BUFFER_ENDS = ("output_audio_buffer.stopped", "output_audio_buffer.cleared")
_CLOSE_S = 3.0


class Line:
    """One call, begun at ``began``. ``reached``: how many seconds after that each step of its set-up was
    done."""

    def __init__(
        self, transport: Transport, wire: Peer | Socket, voice: Voice, hearing: Listener | Player
    ) -> None:
        self.transport: Transport = transport
        self.began = time.time()
        self.listener = hearing if isinstance(hearing, Listener) else None
        self.player = hearing if isinstance(hearing, Player) else None
        self.reached: dict[str, float] = {}
        self._wire = wire
        self._voice = voice

    @property
    def inbox(self) -> Inbox:
        return self._wire.inbox

    def send(self, event: Event) -> None:
        self._wire.send(event)

    def say(self, pcm: bytes) -> Utterance:
        """Speak (24 kHz PCM, whole frames)."""
        return self._voice.say(pcm)

    async def heard(self, after: float, timeout_s: float = 30.0) -> float:
        """When the first audible sound came after a moment: its packet arrived, or a player would play it.
        Raises TimeoutError."""
        if self.player is not None:
            return await self.player.audible(after, timeout_s)
        assert self.listener is not None
        try:
            return (await self.listener.audible(after, timeout_s)).arrived
        except TimeoutError:
            raise TimeoutError(f"nothing audible within {timeout_s:g} s") from None

    def last_audible(self, after: float, before: float) -> float | None:
        """When the last audible sample between two moments was over."""
        hearing = self.player or self.listener
        assert hearing is not None
        return hearing.last_audible(after, before)

    async def until_over(self, after: float, timeout_s: float) -> bool:
        """Wait until the answer that began after a moment is done, and its voice with it; whether it was,
        in that time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.inbox.ended is None:
            if self._is_over(after):
                return True
            await asyncio.sleep(0.05)
        return self._is_over(after)

    def _is_over(self, after: float) -> bool:
        if self.inbox.first("response.done", after=after) is None:
            return False
        if self.inbox.first("output_audio_buffer.started", after=after) is not None:
            return self.inbox.first(*_BUFFER_ENDS, after=after) is not None
        return self.is_quiet(QUIET_S)

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing was audible for so long, or is about to be."""
        now = time.time()
        return self.last_audible(now - seconds, now + seconds) is None

    async def update(self, session: Event) -> Event | None:
        """Change the session: how it says it is now, None where it says nothing of the sort. Raises
        TimeoutError, :class:`~vivavoz.measuring.inbox.Ended`."""
        began = time.time()
        self.send({"type": "session.update", "session": {"type": "realtime", **session}})
        _, event = await self.inbox.wait_for("session.updated", "error", after=began, timeout_s=CREATED_S)
        now = event.get("session")
        return now if isinstance(now, dict) else None

    def ask(self, text: str) -> None:
        """Type a question, and ask for the answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.send({"type": "conversation.item.create", "item": item})
        self.send({"type": "response.create"})


@contextlib.asynccontextmanager
async def called(
    transport: Transport, endpoint: Endpoint, shared: Peers, hosts: list[str]
) -> AsyncIterator[Line]:
    """A call that has its ``session.created``, until the block ends. Raises :class:`Trouble`."""
    async with _webrtc(endpoint, shared, hosts) if transport == "webrtc" else _websocket(endpoint) as line:
        yield line


@contextlib.asynccontextmanager
async def _webrtc(endpoint: Endpoint, shared: Peers, hosts: list[str]) -> AsyncIterator[Line]:
    voice, listener = Voice(), Listener()
    peer = Peer(shared, voice, listener, hosts=hosts)
    line = Line("webrtc", peer, voice, listener)
    try:
        secret = await endpoint.secret()
        began = line.began = time.time()
        try:
            await peer.connect(lambda offer: endpoint.answer(offer, secret))
        except (TimeoutError, DtlsError, AnswerError) as error:
            raise Trouble(str(error)) from None
        finally:
            line.reached.update({step: at - began for step, at in peer.reached.items()})
        await _created(line, began)
        yield line
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await peer.close()


@contextlib.asynccontextmanager
async def _websocket(endpoint: Endpoint) -> AsyncIterator[Line]:
    voice, player = Voice(), Player()
    began = time.time()
    connection = await endpoint.websocket()
    socket = Socket(connection, voice, player)
    line = Line("websocket", socket, voice, player)
    line.began = began
    line.reached["connect"] = time.time() - began
    socket.start()
    try:
        await _created(line, began)
        yield line
    finally:
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_CLOSE_S):
                await socket.close()


async def _created(line: Line, began: float) -> None:
    try:
        at, _ = await line.inbox.wait_for("session.created", timeout_s=CREATED_S)
    except (TimeoutError, Ended) as error:
        raise Trouble(f"connected, but: {error}") from None
    line.reached["session.created"] = at - began
