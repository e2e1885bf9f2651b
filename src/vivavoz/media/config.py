"""The media engine's settings."""

from __future__ import annotations

import msgspec

from vivavoz.media.opus import Application


class MediaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Times in s, sizes in bytes unless the name says otherwise."""

    host: str = "127.0.0.1"
    """The address to bind; ``0.0.0.0`` or ``::`` for all."""
    port: int = 0
    """The UDP port for all calls; 0 lets the system choose."""
    tcp_port: int | None = None
    """A TCP port for calls that no UDP reaches (RFC 6544); 0 lets the system choose, None is no TCP."""
    local_only: bool = False
    """Answer only this machine's own addresses. With ``host`` 0.0.0.0 that is as private as 127.0.0.1, and
    serves Firefox too, which never sends to a loopback candidate."""
    advertise: tuple[str, ...] = ()
    """Addresses for the candidates (NAT, containers) instead of the machine's own; names are resolved."""
    max_calls: int = 64
    connect_timeout: float = 15.0
    """A call that is not connected by then is closed."""
    consent_timeout: float = 5.0
    """A peer of which nothing authentic is heard for so long is gone."""
    channel_timeout: float = 5.0
    """How long ``connected`` waits for an offered event channel that nobody opens."""
    opus_application: Application = "lowdelay"
    """``lowdelay`` (CELT) costs a third of the others; ``voip`` has in-band FEC, better below 32 kb/s."""
    opus_bitrate: int = 48000
    opus_complexity: int = 5
    send_silence: bool = True
    """Send (tiny) packets when there is nothing to play too: the peer's jitter buffer keeps its pace."""
    playout_ms: int = 120_000
    """Most sound that may be queued ahead."""
    hold: float = 0.06
    """Longest wait for a reordered packet."""
    patience: float = 0.1
    """How long packets may stop before silence stands in."""
    max_ahead: float = 1.0
    """Most sound taken beyond the receive clock, after a stall of the network."""
    max_message: int = 1 << 20
    """Largest message taken on the event channel; announced in the answer."""
    outbox: int = 4 << 20
    """Most that waits in the event channel."""
    report_interval: float = 2.0
    """Mean time between RTCP reports."""
    slots: int = 4
    """Into how many moments a frame's 20 ms are cut for pacing."""
