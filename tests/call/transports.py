"""Transports without a network: what a call sends is kept, what a test says is received."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from vivavoz.media.ports import Played
from vivavoz.transports.port import Attachment, TransportKind
from vivavoz.wire.codec import encode
from vivavoz.wire.extensions import ExtensionEvent, Observing, Track, read_sound_frame
from vivavoz.wire.grants import Filter
from vivavoz.wire.options import AudioFormat
from vivavoz.wire.server_events import OutputAudioDelta
from vivavoz.wire.translation import SPOKEN_TAG, AnyServerEvent, TranslatedAudioDelta

BYTES_PER_MS = 48


class FakeTransport:
    """Joins a call as ``kind``. As ``webrtc`` it plays sound on the loop's clock, like the media path."""

    def __init__(self, kind: TransportKind = "websocket") -> None:
        self.kind = kind
        self.events: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.attachment: Attachment | None = None
        self.flushes = 0
        self.holding: list[bool] = []
        """Held, released, …"""
        self.monitored: Callable[[bytes], None] | None = None
        self.hears = True
        self.sounds: list[tuple[Track, int, bytes]] = []
        self._queue: list[tuple[str, int]] = []
        self.ended: set[str] = set()
        self._began: dict[str, float] = {}
        self._news = asyncio.Event()

    def join(self, call: Any, wants: Observing | None = None) -> FakeTransport:
        self.attachment = call.attach(self) if wants is None else call.observe(self, wants)
        self.attachment.ready()
        return self

    # What the call sees.

    @property
    def queued_ms(self) -> int:
        return sum(size for _, size in self._queue) // BYTES_PER_MS

    @property
    def filter(self) -> Filter:
        return "off"

    def send(self, event: AnyServerEvent, output_format: AudioFormat | None = None) -> None:
        if self.kind == "webrtc" and isinstance(event, OutputAudioDelta | TranslatedAudioDelta):
            tag = event.item_id if isinstance(event, OutputAudioDelta) else SPOKEN_TAG
            self._queue.append((tag, len(event.delta)))
        self.events.append(json.loads(encode(event)))
        self._news.set()

    def end_audio(self, item_id: str) -> None:
        self.ended.add(item_id)
        self._news.set()

    def monitor(self, heard: Callable[[bytes], None] | None) -> None:
        self.monitored = heard

    def tell(self, event: ExtensionEvent) -> None:
        self.events.append(json.loads(encode(event)))
        self._news.set()

    def again(self, event: bytes) -> None:
        self.events.append(json.loads(event))
        self._news.set()

    def sound(self, frame: bytes) -> bool:
        if self.hears:
            self.sounds.append(read_sound_frame(frame))
        return self.hears

    def flush(self) -> list[Played]:
        self.flushes += 1
        unplayed, self._queue = self._queue, []
        return [Played(tag=tag, samples=0) for tag in dict.fromkeys(tag for tag, _ in unplayed)]

    def hold(self) -> None:
        self.holding.append(True)

    def release(self) -> None:
        self.holding.append(False)

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)

    # What a test does.

    def say(self, type: str, **members: Any) -> None:
        assert self.attachment is not None
        self.attachment.received(json.dumps({"type": type, **members}))

    def speak(self, pcm: bytes) -> None:
        assert self.attachment is not None
        if self.kind == "webrtc":
            self.attachment.audio(pcm)
        else:
            self.say("input_audio_buffer.append", audio=b64encode(pcm).decode())

    async def until(self, type: str, count: int = 1) -> dict[str, Any]:
        """The ``count``-th event of this type."""
        while len(found := [event for event in self.events if event["type"] == type]) < count:
            self._news.clear()
            await self._news.wait()
        return found[count - 1]

    async def until_ended(self, tag: str) -> None:
        """No more sound of this tag will come."""
        while tag not in self.ended:
            self._news.clear()
            await self._news.wait()

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]
