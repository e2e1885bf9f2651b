"""A WebSocket as a transport: one JSON event a text frame (RFC 6455), sound as base64 inside events.

Two loops, one connection: what arrives goes straight to the call; what the call sends waits in a bounded
outbox for the one writer. A peer that reads too slowly loses its connection (1013) and delays nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from vivavoz.media.g711 import LAWS, StreamEncoder
from vivavoz.media.ports import Played
from vivavoz.transports.dialect import GA, Dialect, deliver
from vivavoz.transports.port import Attachment
from vivavoz.wire.codec import decode_server_event, encode
from vivavoz.wire.extensions import ExtensionEvent
from vivavoz.wire.grants import Filter
from vivavoz.wire.options import AudioFormat
from vivavoz.wire.server_events import OutputAudioDelta
from vivavoz.wire.translation import AnyServerEvent

log = logging.getLogger("vivavoz.transports.websocket")

_SOUND_BYTES = 512 * 1024
"""What may wait for a slow observer before it is sent no more sound: some five seconds of both voices."""

_GOODBYE_S = 5.0
"""How long what is queued may take to leave, and the peer to answer the close, once the end is decided."""

_MAX_REASON_BYTES = 123
"""RFC 6455, section 5.5: a control frame holds 125 bytes, two of them the code."""


class WebSocketTransport:
    """A session's own connection, or a sideband's. Used once: make it, attach it, ``run`` it."""

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        kind: Literal["websocket", "sideband"] = "websocket",
        *,
        abort: Callable[[], None],
        dialect: Dialect = GA,
        outbox_bytes: int = 16 * 2**20,
        outbox_events: int = 8192,
    ) -> None:
        """``websocket`` is prepared. ``abort`` drops its connection without ceremony."""
        self._websocket = websocket
        self._kind = kind
        self._dialect = dialect
        self._outbox: deque[tuple[bytes, WSMsgType]] = deque()
        self._queued_bytes = 0
        self._max_bytes = outbox_bytes
        self._max_events = outbox_events
        self._abort = abort
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._broken = False
        self._encoder: tuple[tuple[str, str, str], StreamEncoder] | None = None

    # ------------------------------------------------------------------ what the call sees

    @property
    def kind(self) -> Literal["websocket", "sideband"]:
        return self._kind

    @property
    def filter(self) -> Filter:
        return "off"

    def send(self, event: AnyServerEvent, output_format: AudioFormat | None = None) -> None:
        if self._closing is not None:
            return
        if isinstance(event, OutputAudioDelta):
            if self._kind == "sideband":
                return
            event = self._in_format(event, output_format)
            if not event.delta:
                return
        for data in self._dialect.outgoing(event):
            self._queue(data)

    def _queue(self, data: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        if self._closing is not None:
            return
        full = self._queued_bytes + len(data) > self._max_bytes or len(self._outbox) >= self._max_events
        if full:
            log.warning("%s reads too slowly: %d bytes wait; closing it", self._kind, self._queued_bytes)
            self._outbox.clear()
            self.close(WSCloseCode.TRY_AGAIN_LATER, "The connection reads too slowly.")
            return
        self._outbox.append((data, kind))
        self._queued_bytes += len(data)
        self._wake.set()

    def tell(self, event: ExtensionEvent) -> None:
        self._queue(encode(event))

    def again(self, event: bytes) -> None:
        if self._dialect is GA:
            self._queue(event)
            return
        for data in self._dialect.outgoing(decode_server_event(event)):
            self._queue(data)

    @property
    def hears(self) -> bool:
        return self._closing is None and self._queued_bytes <= min(_SOUND_BYTES, self._max_bytes // 4)

    def sound(self, frame: bytes) -> bool:
        if not self.hears or len(self._outbox) >= self._max_events // 2:
            return False
        self._queue(frame, WSMsgType.BINARY)
        return True

    def end_audio(self, response_id: str) -> None:
        """Playout is the client's: nothing ends here."""

    def flush(self) -> list[Played]:
        return []

    def hold(self) -> None:
        """Playout is the client's: it goes on."""

    def release(self) -> None:
        """Nothing was held."""

    def monitor(self, heard: Callable[[bytes], None] | None) -> None:
        """Playout is the client's: nobody is told."""

    @property
    def queued_ms(self) -> int:
        return 0

    def close(self, code: int, reason: str) -> None:
        """What is queued still leaves first, within a few seconds."""
        if self._closing is None:
            self._closing = (code, reason)
            self._wake.set()
            self._ending.set()

    def drop(self) -> None:
        """Break the connection, with no goodbye, once what is queued has left. For tests of clients."""
        if self._closing is None:
            self._broken = True
            self.close(WSCloseCode.ABNORMAL_CLOSURE, "dropped")

    # ------------------------------------------------------------------ the two loops

    async def run(self, attachment: Attachment) -> None:
        """Carry events both ways until either side closes; then tells the call, and returns."""
        reason = "cancelled"
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [group.create_task(self._write()), group.create_task(self._lose_patience())]
                attachment.ready()
                reason = await self._read(attachment)
                for helper in helpers:
                    helper.cancel()
        finally:
            self._closing = self._closing or (WSCloseCode.GOING_AWAY, reason)
            self._outbox.clear()
            attachment.lost(reason)

    async def _read(self, attachment: Attachment) -> str:
        """Returns why it ended."""
        while True:
            message = await self._websocket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    deliver(self._dialect, message.data, attachment)
                case WSMsgType.ERROR:
                    return f"connection failed ({self._websocket.close_code})"
                case _ if self._closing is not None:
                    return self._closing[1]
                case _:
                    return f"closed by the client ({self._websocket.close_code})"

    async def _write(self) -> None:
        while self._closing is None:
            if not self._outbox:
                self._wake.clear()
                await self._wake.wait()
            await self._drain()
        code, reason = self._closing
        if self._broken:
            self._abort()
            return
        await self._websocket.close(code=code, message=_cut(reason))

    async def _lose_patience(self) -> None:
        """The writer may be stuck on a peer that reads nothing; such a peer hears no goodbye either."""
        await self._ending.wait()
        await asyncio.sleep(_GOODBYE_S)
        self._abort()

    async def _drain(self) -> None:
        """Write what is queued; a peer that is gone shows in the reader, which ends both loops."""
        with contextlib.suppress(ConnectionError):
            while self._outbox:
                data, kind = self._outbox.popleft()
                self._queued_bytes -= len(data)
                await self._websocket.send_frame(data, kind)

    # ------------------------------------------------------------------ sound

    def _in_format(self, event: OutputAudioDelta, output_format: AudioFormat | None) -> OutputAudioDelta:
        """The delta in the session's output format (G.711 is one stream an item)."""
        if output_format is None or output_format.type == "audio/pcm":
            return event
        law = LAWS["pcmu" if output_format.type == "audio/pcmu" else "pcma"]
        key = (event.response_id, event.item_id, law.name)
        if self._encoder is None or self._encoder[0] != key:
            self._encoder = (key, StreamEncoder(law))
        return msgspec.structs.replace(event, delta=self._encoder[1].encode(event.delta))


def _cut(reason: str) -> bytes:
    return reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
