"""The offer of a caller with Opus, and a channel for events if wanted."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoz.measuring.channel import MAX_MESSAGE

OPUS = 111
"""Payload type."""


def offer(
    hosts: Sequence[str], port: int, *, user: str, password: str, fingerprint: str, ssrc: int, channel: bool
) -> str:
    """SDP (RFC 8829). ``hosts`` are this machine's addresses, best first; ``user`` and ``password`` ICE's,
    ``fingerprint`` the certificate's SHA-256."""
    candidates = [
        f"a=candidate:{n + 1} 1 udp {2130706431 - 256 * n} {host} {port} typ host"
        for n, host in enumerate(hosts)
    ]
    address = f"c=IN IP4 {hosts[0]}"
    transport = [
        f"a=ice-ufrag:{user}",
        f"a=ice-pwd:{password}",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        *candidates,
        "a=end-of-candidates",
    ]
    audio = [
        f"m=audio {port} UDP/TLS/RTP/SAVPF {OPUS}",
        address,
        *transport,
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{OPUS} opus/48000/2",
        f"a=ssrc:{ssrc} cname:bench",
    ]
    events = [
        f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel",
        address,
        *transport,
        "a=mid:1",
        "a=sctp-port:5000",
        f"a=max-message-size:{MAX_MESSAGE}",
    ]
    group = "a=group:BUNDLE 0 1" if channel else "a=group:BUNDLE 0"
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", group]
    return "\r\n".join([*head, *audio, *(events if channel else [])]) + "\r\n"
