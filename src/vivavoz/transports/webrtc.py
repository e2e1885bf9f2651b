"""A WebRTC peer as a transport: sound on its track, events on its data channel, playout by the server."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from vivavoz.media.ports import CallStats, MediaCall, MediaEngine, Played, PlayoutFull, State
from vivavoz.transports.dialect import GA, Dialect, deliver
from vivavoz.transports.filtering import EventFilter
from vivavoz.transports.port import Attachment, Transport, TransportKind
from vivavoz.wire.grants import Filter
from vivavoz.wire.options import AudioFormat
from vivavoz.wire.server_events import OutputAudioDelta
from vivavoz.wire.translation import SPOKEN_TAG, AnyServerEvent, TranslatedAudioDelta

log = logging.getLogger("vivavoz.transports.webrtc")

_MAX_CHUNK = 48_000
"""Bytes of sound handed to the call at once (1 s): more only arrives after a stall of the network."""


class Joinable(Protocol):
    """A call, as far as joining it goes."""

    def attach(self, transport: Transport) -> Attachment: ...


class WebRtcTransport:
    """Between one media call and the call it belongs to.

    ``filter``: ``on``, and only the events of ``webrtcfilter=on`` go to the browser, so that it never sees
    the instructions; ``strict``, and it sees no tools and no system messages either. It goes by GA names;
    what passes it is then said in ``dialect``. Nothing reaches the call before the peer is connected, so
    ``session.created`` comes first.
    """

    def __init__(self, *, filter: Filter, dialect: Dialect = GA) -> None:
        self._filter = EventFilter(filter)
        self._dialect = dialect
        self._media: MediaCall | None = None
        self._attachment: Attachment | None = None
        self._connected = False
        self._early: deque[str | bytes] = deque(maxlen=64)
        self._closed = False

    @classmethod
    def accept(
        cls, engine: MediaEngine, offer_sdp: str, call: Joinable, *, filter: Filter, dialect: Dialect = GA
    ) -> str:
        """Answer the offer and join the call. Raises :class:`~vivavoz.media.ports.MediaError`."""
        transport = cls(filter=filter, dialect=dialect)
        answer, transport._media = engine.accept(offer_sdp, transport)
        transport._attachment = call.attach(transport)
        return answer

    def stats(self) -> CallStats | None:
        return self._media.stats() if self._media is not None else None

    # ---------------------------------------------------------------------------- what the call sees

    @property
    def kind(self) -> TransportKind:
        return "webrtc"

    @property
    def filter(self) -> Filter:
        return self._filter.level

    @property
    def queued_ms(self) -> int:
        return self._media.queued_ms if self._media is not None and not self._closed else 0

    def send(self, event: AnyServerEvent, output_format: AudioFormat | None = None) -> None:
        if self._media is None or self._closed:
            return
        if isinstance(event, OutputAudioDelta):
            self._play(self._media, event.delta, event.item_id)
            return
        if isinstance(event, TranslatedAudioDelta):
            self._play(self._media, event.delta, SPOKEN_TAG)
            return
        shown = self._filter.shown(event)
        if shown is None:
            return
        for message in self._dialect.outgoing(shown):
            if not self._media.send_event(message.decode()):
                self.close(1013, "The event channel is full.")
                return

    def end_audio(self, item_id: str) -> None:
        if self._media is not None and not self._closed:
            self._media.end(item_id)

    def flush(self) -> list[Played]:
        return self._media.flush() if self._media is not None and not self._closed else []

    def hold(self) -> None:
        if self._media is not None:
            self._media.hold()

    def release(self) -> None:
        if self._media is not None:
            self._media.release()

    def monitor(self, heard: Callable[[bytes], None] | None) -> None:
        if self._media is not None:
            self._media.monitor(heard)

    def close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            if self._media is not None:
                self._media.close(reason)
            self._lost(reason)

    def _play(self, media: MediaCall, pcm: bytes, tag: str) -> None:
        try:
            media.write(pcm, tag)
        except PlayoutFull as error:
            log.error("call %s: %s", self._name, error)
            self.close(1013, "Too much sound is waiting to be played.")

    # ---------------------------------------------------------------------------- what the media path tells

    def on_state(self, state: State, reason: str) -> None:
        if state == "connected" and self._attachment is not None and not self._connected:
            self._connected = True
            self._attachment.ready()
            while self._early:
                deliver(self._dialect, self._early.popleft(), self._attachment)
        elif state == "closed":
            self._closed = True
            self._lost(reason)

    def on_audio(self, pcm: bytes) -> None:
        if self._connected and self._attachment is not None:
            for start in range(0, len(pcm), _MAX_CHUNK):
                self._attachment.audio(pcm[start : start + _MAX_CHUNK])

    def on_event(self, text: str | bytes) -> None:
        if self._connected and self._attachment is not None:
            deliver(self._dialect, text, self._attachment)
        else:
            self._early.append(text)

    def on_playing(self, tag: str) -> None:
        if self._attachment is not None:
            self._attachment.playing(tag)

    def on_played(self, played: Played) -> None:
        if self._attachment is not None:
            self._attachment.played(played)

    # ---------------------------------------------------------------------------- ends

    @property
    def _name(self) -> str:
        return self._attachment.call_id if self._attachment is not None else "?"

    def _lost(self, reason: str) -> None:
        if self._attachment is not None:
            self._attachment.lost(reason)
