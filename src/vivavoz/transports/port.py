"""What a call and its transports know of each other.

A *media* transport carries the caller's sound itself; a *control* transport (the sideband observer) carries
events only. Transports are thin: they turn bytes into calls on an :class:`Attachment` and server events into
bytes, and hold no policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from vivavoz.media.ports import Played
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.extensions import ExtensionEvent
from vivavoz.wire.grants import Filter
from vivavoz.wire.options import AudioFormat
from vivavoz.wire.translation import AnyServerEvent

TransportKind = Literal["websocket", "webrtc", "sideband"]
"""``websocket``: events with audio inside. ``webrtc``: the server owns playout. ``sideband``: events only."""


class Transport(Protocol):
    """One attached connection, as its call sees it. Nothing here blocks."""

    @property
    def kind(self) -> TransportKind: ...

    @property
    def filter(self) -> Filter:
        """Which of the call's events it is sent."""
        ...

    def send(self, event: AnyServerEvent, output_format: AudioFormat | None = None) -> None:
        """Put one event into the bounded outbox. ``response.output_audio.delta`` carries 24 kHz PCM in
        ``delta``: a WebSocket encodes it in ``output_format``, WebRTC plays it, a sideband drops it. So does
        ``session.output_audio.delta``. A full outbox closes this transport (1013) and disturbs no other."""
        ...

    def end_audio(self, item_id: str) -> None:
        """No more sound of this item will come (media transports with playout)."""
        ...

    def flush(self) -> list[Played]:
        """Drop unplayed sound; say, by item (tag), what was played. Empty where playout is the client's."""
        ...

    def hold(self) -> None:
        """Be silent, losing nothing, until :meth:`release`. Without effect where playout is the client's."""
        ...

    def release(self) -> None:
        """Go on with what :meth:`hold` has stopped."""
        ...

    @property
    def queued_ms(self) -> int:
        """Sound sent here and not yet played (ms); 0 where playout is the client's."""
        ...

    def monitor(self, heard: Callable[[bytes], None] | None) -> None:
        """From now on tell ``heard`` of all sound (24 kHz PCM, up to 20 ms) as it leaves to be heard; None:
        nobody. Without effect where playout is the client's."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End this connection (WebSocket close code; WebRTC says goodbye). Idempotent."""
        ...


class ObserverTransport(Transport, Protocol):
    """A sideband, which may ask for more than events (docs/observers.md)."""

    def tell(self, event: ExtensionEvent) -> None:
        """As :meth:`send`, and the same in every dialect."""
        ...

    def again(self, event: bytes) -> None:
        """An event of the past (its GA JSON), as :meth:`send` would have sent it."""
        ...

    @property
    def hears(self) -> bool:
        """Whether there is room for sound. It is not the events' room: sound is left out long before a
        connection is closed for reading too slowly."""
        ...

    def sound(self, frame: bytes) -> bool:
        """Send a binary message; False, and nothing is sent, where there is no room for sound."""
        ...


class Attachment(Protocol):
    """One transport's handle on its call; made by ``Call.attach``."""

    @property
    def call_id(self) -> str: ...

    def ready(self) -> None:
        """The event channel is open: the session may greet. Called once, before any ``received``."""
        ...

    def received(self, data: str | bytes) -> None:
        """One message from the client. Anything may be in it: it is answered, never raised. Where the call's
        bounded inbox is full, the transport is closed with 1013 by the call."""
        ...

    def refused(self, error: ProtocolError) -> None:
        """A message that this connection's dialect could not turn into a GA one: answered in its turn, by an
        ``error`` event to this client."""
        ...

    def audio(self, pcm: bytes) -> None:
        """The caller's sound (24 kHz PCM), media transports only."""
        ...

    def playing(self, tag: str) -> None: ...

    def played(self, played: Played) -> None: ...

    def lost(self, reason: str) -> None:
        """The connection is gone. Idempotent. The last media transport's loss ends the call (after its
        grace); a sideband's does not."""
        ...
