"""Answers to offers (RFC 8829, RFC 8839, RFC 6544, RFC 9143)."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from vivavoz.media.sdp import Offer, Section

_MIRROR = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,64}")


class Candidate(msgspec.Struct, frozen=True):
    """A host candidate; over TCP the passive side, to which the peer connects."""

    address: str
    port: int
    protocol: Literal["udp", "tcp"] = "udp"

    def line(self, number: int) -> str:
        """The ``number``-th of the answer: UDP before TCP, the first address preferred."""
        if self.protocol == "udp":
            # RFC 8445 section 5.1.2.1.
            priority = (126 << 24) | ((65536 - number) << 8) | 255
            return f"a=candidate:{number} 1 udp {priority} {self.address} {self.port} typ host"
        # RFC 6544 section 4.2: a lower type preference than UDP's, direction preference 4 for passive.
        priority = (90 << 24) | (((4 << 13) + 8192 - number) << 8) | 255
        return f"a=candidate:{number} 1 tcp {priority} {self.address} {self.port} typ host tcptype passive"


class Local(msgspec.Struct, kw_only=True, frozen=True):
    """Our side of the answer."""

    session_id: int
    ufrag: str
    password: str
    fingerprint: str
    setup: str
    candidates: list[Candidate]
    ssrc: int
    cname: str
    max_message_size: int


def write_answer(offer: Offer, local: Local) -> str:
    """The answer to ``offer``: its m-lines in their order, those that are not wanted with port 0."""
    first = local.candidates[0]
    mids = [offer.sections[at].first("mid") for at in sorted({offer.audio, offer.events} - {None})]  # type: ignore[type-var, index]
    lines = [
        "v=0",
        f"o=- {local.session_id} 2 IN {_address(first.address)}",
        "s=-",
        "t=0 0",
        *([f"a=group:BUNDLE {' '.join(mid for mid in mids if mid)}"] if offer.bundled else []),
        "a=msid-semantic: WMS realtimeapi",
        "a=ice-lite",
    ]
    for at, section in enumerate(offer.sections):
        if at == offer.audio:
            lines += _audio_answer(offer, section, local)
        elif at == offer.events:
            lines += _events_answer(section, local)
        else:
            lines += _rejected(section)
    return "\r\n".join(lines) + "\r\n"


def _address(address: str) -> str:
    return f"IP6 {address}" if ":" in address else f"IP4 {address}"


def _mid(section: Section) -> list[str]:
    mid = section.first("mid")
    return [f"a=mid:{mid}"] if mid and _TOKEN.fullmatch(mid) else []


def _transport(local: Local, *, candidates: bool) -> list[str]:
    lines = []
    if candidates:
        lines += [each.line(number) for number, each in enumerate(local.candidates, 1)]
        lines.append("a=end-of-candidates")
    return [
        *lines,
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{local.setup}",
    ]


def _audio_answer(offer: Offer, section: Section, local: Local) -> list[str]:
    first = local.candidates[0]
    formats = " ".join(str(codec.payload_type) for codec in offer.codecs)
    lines = [
        f"m=audio {first.port} {section.protocol} {formats}",
        f"c=IN {_address(first.address)}",
        *_transport(local, candidates=True),
        *_mid(section),
        f"a={_MIRROR[offer.direction]}",
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if "rtcp-rsize" in section.attributes else []),
    ]
    for codec in offer.codecs:
        if codec.name == "opus":
            lines.append(f"a=rtpmap:{codec.payload_type} opus/48000/2")
            lines.append(f"a=fmtp:{codec.payload_type} minptime=10;useinbandfec=1")
        else:
            lines.append(f"a=rtpmap:{codec.payload_type} {codec.name.upper()}/8000")
    if offer.direction in ("sendrecv", "recvonly"):
        lines += [
            "a=msid:realtimeapi audio",
            f"a=ssrc:{local.ssrc} cname:{local.cname}",
            f"a=ssrc:{local.ssrc} msid:realtimeapi audio",
        ]
    return lines


def _events_answer(section: Section, local: Local) -> list[str]:
    first = local.candidates[0]
    return [
        f"m=application {first.port} {section.protocol} webrtc-datachannel",
        f"c=IN {_address(first.address)}",
        *_transport(local, candidates=False),
        *_mid(section),
        "a=sctp-port:5000",
        f"a=max-message-size:{local.max_message_size}",
    ]


def _rejected(section: Section) -> list[str]:
    return [
        f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        *_mid(section),
        "a=inactive",
    ]
