"""The one media port: PCM and events in, PCM and events out, what was played reported back.

It knows nothing of sessions. PCM is mono s16le at 24 000 Hz. Everything here is called on, and calls back
on, the engine's event loop; nothing blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec


class MediaError(Exception):
    """The offer cannot be answered; ``message`` says what in it is wrong (safe to show to the client)."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MediaFull(MediaError):
    """No room for another call now."""


class PlayoutFull(Exception):
    """More sound ahead than the engine holds; the writer should have paced itself by ``queued_ms``."""

    def __init__(self, queued_ms: int, limit_ms: int) -> None:
        super().__init__(f"{queued_ms} ms of sound are queued, at most {limit_ms} ms can be")
        self.queued_ms = queued_ms
        self.limit_ms = limit_ms


class Played(msgspec.Struct, frozen=True):
    """How much of one tag's sound has left the machine: ``samples`` at 24 kHz, counted from the tag's
    first sample. ``complete`` when everything written under the tag was played and the tag was ended."""

    tag: str
    samples: int
    complete: bool = False


Drop = Literal[
    "malformed",
    "stranger",
    "unauthentic",
    "elsewhere",
    "failed",
    "dtls",
    "early",
    "forged",
    "replayed",
    "streams",
    "header",
    "stray",
    "format",
    "payload",
    "late",
    "repeated",
    "ahead",
]
"""Why something that came was dropped.

By the engine: ``malformed`` is no STUN, DTLS or SRTP, or a damaged check; ``stranger`` is not from an address
that proved to be a call's; ``unauthentic`` is a check that no call's password vouches for; ``elsewhere`` is
from another machine where only this one is served; ``failed`` is our own bug.

By a call: ``dtls`` is a forged or repeated record; ``early`` came before the call was connected, as sound
often does; ``forged`` SRTP does not authenticate, ``replayed`` came
before or is far too old, ``streams`` is of one SSRC too many; ``header`` is broken RTP or RTCP; ``stray`` is
of another stream that is not the call's (yet); ``format`` was not agreed; ``payload`` cannot be decoded;
``late`` came when its time was filled already; ``repeated`` is held already; ``ahead`` is more than the clock
allows.
"""

End = Literal["local", "peer", "vanished", "no_path", "no_handshake", "dtls", "channel", "stopping", "failed"]
"""Why a call ended. ``local``: its owner ended it; ``peer``: the peer said goodbye; ``vanished``: nothing
was heard of it; ``no_path``: no check of its ICE ever came; ``no_handshake``: DTLS was not done in time;
``dtls``: it failed; ``channel``: the peer broke SCTP or one of its bounds; ``failed``: our own bug."""


class CallStats(msgspec.Struct, kw_only=True):
    """Counters of one call, all since its start. Times in ms."""

    packets_received: int = 0
    packets_lost: int = 0
    packets_sent: int = 0
    frames_concealed: int = 0
    """Made up for lost packets or for none that came in time; those from FEC are among them."""
    frames_recovered: int = 0
    """Of those: from the FEC of the packet that followed."""
    dropped: dict[Drop, int] = {}
    jitter_ms: float = 0.0
    rtt_ms: float | None = None
    queued_ms: int = 0
    bytes_buffered: int = 0

    @property
    def packets_discarded(self) -> int:
        return sum(self.dropped.values())


class EngineStats(msgspec.Struct):
    """Counters of an engine since its start, those of its calls with them: of the ended and of the living."""

    calls_accepted: int = 0
    ended: dict[End, int] = {}
    datagrams_received: int = 0
    dropped: dict[Drop, int] = {}
    send_failures: int = 0
    """What the network did not take: UDP's buffers were full, or a TCP peer reads too slowly."""
    connections_accepted: int = 0
    """Over TCP."""
    connections_refused: int = 0
    """Of those: idle, no call's, or not what ICE sends."""
    packets_received: int = 0
    packets_lost: int = 0
    packets_sent: int = 0
    frames_concealed: int = 0
    frames_recovered: int = 0

    def add(self, call: CallStats) -> None:
        """One call's are in it from now on."""
        self.packets_received += call.packets_received
        self.packets_lost += call.packets_lost
        self.packets_sent += call.packets_sent
        self.frames_concealed += call.frames_concealed
        self.frames_recovered += call.frames_recovered
        for reason, count in call.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def copy(self) -> EngineStats:
        return msgspec.structs.replace(self, ended=dict(self.ended), dropped=dict(self.dropped))


State = Literal["connecting", "connected", "closed"]


class CallSink(Protocol):
    """Where a media call tells what happened. Called on the loop, never from in ``write`` or ``flush``."""

    def on_state(self, state: State, reason: str) -> None:
        """``connected``: media and (where offered) the event channel are usable. ``closed``: for good."""
        ...

    def on_audio(self, pcm: bytes) -> None:
        """The caller's sound, gapless on the receive clock: lost packets are concealed, and silence stands
        in when packets stop, so that time always goes on."""
        ...

    def on_event(self, text: str | bytes) -> None:
        """One message of the event channel: ``str`` for text, ``bytes`` for a binary message."""
        ...

    def on_playing(self, tag: str) -> None:
        """The first sample of ``tag`` has left."""
        ...

    def on_played(self, played: Played) -> None:
        """``tag`` is complete: ended and played to its last sample."""
        ...


class MediaCall(Protocol):
    """One peer."""

    @property
    def queued_ms(self) -> int:
        """Sound written and not yet sent (ms)."""
        ...

    def write(self, pcm: bytes, tag: str) -> None:
        """Queue sound, ahead of time, any whole number of samples; the engine owns the 20 ms clock. Raises
        :class:`PlayoutFull` beyond the limit (120 s by default) and ``ValueError`` for an odd number of bytes
        or a tag that was ended. After ``close`` it does nothing."""
        ...

    def end(self, tag: str) -> None:
        """No more sound under ``tag``: ``on_played`` follows when its last sample has left."""
        ...

    def monitor(self, heard: Callable[[bytes], None] | None) -> None:
        """From now on tell ``heard`` of the sound of every 20 ms that is not silence, as it leaves; None:
        nobody."""
        ...

    def flush(self) -> list[Played]:
        """Drop all queued sound (with a short fade, no click); say what was played of every tag that had
        begun or was queued and is not complete. No ``on_played`` follows for them."""
        ...

    def hold(self) -> None:
        """Fade out and send silence until :meth:`release`; nothing queued is lost. Idempotent."""
        ...

    def release(self) -> None:
        """Go on where :meth:`hold` has stopped, fading in. Idempotent."""
        ...

    def send_event(self, text: str) -> bool:
        """Queue a text message for the event channel, in order, before it opens too. False: the outbox is
        full (bounded), or the call is closed. True without effect where the offer had no event channel."""
        ...

    def stats(self) -> CallStats: ...

    def close(self, reason: str) -> None:
        """Say goodbye to the peer (DTLS close_notify) and free everything; ``on_state('closed')`` follows."""
        ...


class MediaEngine(Protocol):
    """One per worker: one UDP port for all calls."""

    async def start(self) -> None: ...

    def accept(self, offer_sdp: str, sink: CallSink) -> tuple[str, MediaCall]:
        """Answer an offer at once, with all candidates. Raises :class:`MediaError`, of it :class:`MediaFull`
        when there are as many calls as there may be."""
        ...

    async def stop(self) -> None: ...
