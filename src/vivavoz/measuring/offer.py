"""The offer of a caller with one address, Opus, and a channel for events if wanted."""

from __future__ import annotations

OPUS = 111
"""Payload type."""


def offer(port: int, *, user: str, password: str, fingerprint: str, ssrc: int, channel: bool) -> str:
    """SDP (RFC 8829). ``user`` and ``password`` are ICE's, ``fingerprint`` the certificate's SHA-256."""
    transport = [
        f"a=ice-ufrag:{user}",
        f"a=ice-pwd:{password}",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host",
        "a=end-of-candidates",
    ]
    audio = [
        f"m=audio {port} UDP/TLS/RTP/SAVPF {OPUS}",
        "c=IN IP4 127.0.0.1",
        *transport,
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{OPUS} opus/48000/2",
        f"a=ssrc:{ssrc} cname:bench",
    ]
    events = [
        f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 127.0.0.1",
        *transport,
        "a=mid:1",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
    ]
    group = "a=group:BUNDLE 0 1" if channel else "a=group:BUNDLE 0"
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", group]
    return "\r\n".join([*head, *audio, *(events if channel else [])]) + "\r\n"
