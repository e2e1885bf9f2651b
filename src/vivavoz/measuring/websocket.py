"""A caller over a WebSocket: a microphone that sends a frame every 20 ms, and a player without a buffer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import time

import aiohttp
import msgspec

from vivavoz.measuring.inbox import Event, Inbox
from vivavoz.measuring.sound import FRAME_S, RATE, Voice, audible

DELTAS = ("response.output_audio.delta", "response.audio.delta")
"""The voice, as the Realtime API names it, and as its beta did."""
_LATEST_S = 1.0
"""Sound later than this is not made up for."""
_MOST_WAITING = 1000
_MOST_PIECES = 100_000


class Piece(msgspec.Struct):
    """A delta as it is played: from ``start`` to ``end``; ``first`` and ``last`` are when something in it is
    audible, None if nothing is or it was thrown away before. ``waited``: how long the player stood still for
    it within the response (s)."""

    response: str
    arrived: float
    start: float
    end: float
    first: float | None
    last: float | None
    waited: float


class Player:
    """Plays each delta as soon as it can be played, and forgets what is left when the caller speaks, as
    clients do."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.unreadable = 0
        """Deltas that were no 16-bit PCM in base64."""
        self.cut: list[float] = []
        """When something audible was thrown away."""
        self._changed = asyncio.Event()

    def delta(self, arrived: float, event: Event) -> None:
        """Play ``event``, and take its sound out of it."""
        text, event["delta"] = event.get("delta"), ""
        try:
            pcm = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except binascii.Error:
            pcm = b""
        if not pcm or len(pcm) % 2:
            self.unreadable += 1
            return
        if len(self.pieces) >= _MOST_PIECES:
            return
        before = self.pieces[-1] if self.pieces else None
        response = str(event.get("response_id"))
        start = max(arrived, before.end if before else 0.0)
        goes_on = before is not None and before.response == response
        waited = start - before.end if before is not None and goes_on else 0.0
        first, last = audible(pcm)
        self.pieces.append(
            Piece(
                response=response,
                arrived=arrived,
                start=start,
                end=start + len(pcm) / 2 / RATE,
                first=None if first is None else start + first,
                last=None if last is None else start + last,
                waited=waited,
            )
        )
        self._changed.set()

    def flush(self, now: float) -> None:
        """What is not played yet is not played."""
        for piece in reversed(self.pieces):
            if piece.end <= now:
                break
            piece.end = min(piece.end, max(now, piece.start)) if piece.start < now else now
            piece.start = min(piece.start, now)
            if piece.last is not None and piece.last > now:
                if self.cut[-1:] != [now]:
                    self.cut.append(now)
                begun = piece.first is not None and piece.first <= now
                piece.first, piece.last = (piece.first, now) if begun else (None, None)

    async def audible(self, after: float, timeout_s: float = 30.0) -> float:
        """When the first audible sample of what came after a moment is played, which may be soon. Raises
        TimeoutError."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for piece in self.pieces:
                        if piece.arrived > after and piece.first is not None:
                            return piece.first
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"nothing audible within {timeout_s:g} s") from None

    def last_audible(self, after: float, before: float) -> float | None:
        """When the last audible sample between two moments was over."""
        ends = [
            min(piece.last, before)
            for piece in self.pieces
            if piece.first is not None
            and piece.last is not None
            and piece.first < before
            and piece.last > after
        ]
        return max(ends, default=None)


class Socket:
    """The connection of one call. :meth:`start` it, and :meth:`close` it."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse, voice: Voice, player: Player) -> None:
        self.inbox = Inbox()
        self._connection = connection
        self._voice = voice
        self._player = player
        self._outgoing: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen, and to send what the microphone hears."""
        self._tasks = [asyncio.create_task(each()) for each in (self._read, self._write, self._speak)]

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    def send(self, event: Event) -> None:
        """A client event; dropped where the connection has ended or takes nothing any more."""
        with contextlib.suppress(asyncio.QueueFull):
            self._outgoing.put_nowait(json.dumps(event))

    async def _read(self) -> None:
        async for message in self._connection:
            arrived = time.time()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                break
            event = self.inbox.put(arrived, message.data)
            if event is None:
                continue
            if event["type"] in DELTAS:
                self._player.delta(arrived, event)
            elif event["type"] == "input_audio_buffer.speech_started":
                self._player.flush(arrived)
        self.inbox.end(f"the endpoint closed the WebSocket ({self._connection.close_code or 'no code'})")

    async def _write(self) -> None:
        try:
            while True:
                await self._connection.send_str(await self._outgoing.get())
        except (aiohttp.ClientError, OSError):
            self.inbox.end("the connection broke")

    async def _speak(self) -> None:
        due = time.monotonic()
        while self.inbox.ended is None:
            now = time.monotonic()
            if now - due > _LATEST_S:
                due = now
            if now < due:
                await asyncio.sleep(due - now)
            pcm = self._voice.frame(time.time())
            self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
            due += FRAME_S
            await asyncio.sleep(0)
