"""Offer in, answer out (RFC 8866, RFC 8829, RFC 8839, RFC 8841, RFC 9143): what one audio stream and one
data channel over one transport need, and no more."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from vivavoz.media.ports import MediaError

MAX_OFFER = 65536
MAX_LINES = 2000
MAX_SECTIONS = 32

_MIRROR = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")
_DIGEST = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")
_NUMBER = re.compile(r"[0-9]{1,10}")
"""Python refuses to read endless ones with an error of its own."""
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,64}")


class Codec(msgspec.Struct, frozen=True):
    """One payload type. ``name`` is ``opus``, ``pcmu`` or ``pcma``; ``rate`` the RTP clock in Hz."""

    payload_type: int
    name: str
    rate: int
    parameters: dict[str, str]


class Section(msgspec.Struct):
    """One m-line and what belongs to it."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    attributes: dict[str, list[str]]

    def first(self, name: str) -> str | None:
        values = self.attributes.get(name)
        return values[0] if values else None


class Offer(msgspec.Struct, kw_only=True):
    """What was offered, checked; ``audio`` and ``events`` are places in ``sections``."""

    sections: list[Section]
    audio: int
    events: int | None
    """The data-channel section that shares the audio's transport, if there is one."""
    codecs: list[Codec]
    direction: str
    """As offered: the caller's view."""
    ufrag: str
    password: str
    fingerprints: list[tuple[str, str]]
    """(hash name, ``AB:CD:...`` upper case); at least one."""
    setup: str
    bundled: bool
    sctp_port: int = 5000


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


def parse_offer(text: str) -> Offer:
    """Read an offer. Raises :class:`MediaError` that says what is wrong with it."""
    session, sections = _split(text)
    if session.get("ice-lite"):
        raise MediaError(
            "the offer is from an ICE-lite agent; this service is ICE-lite too, so neither would connect"
        )
    at = _find_audio(sections)
    audio = sections[at]
    codecs = _codecs(audio)
    if not codecs:
        raise MediaError("the offer's audio has no codec in common with this service (Opus, PCMU or PCMA)")
    longest = audio.first("maxptime") or ""
    if _NUMBER.fullmatch(longest) and int(longest) < 20:
        raise MediaError("the offer's a=maxptime is below 20, and this service's packets are 20 ms long")
    if "rtcp-mux" not in audio.attributes:
        raise MediaError("the offer's audio lacks a=rtcp-mux")
    group = _bundle_group(session)
    bundled = (audio.first("mid") or "") in group
    events = _find_events(sections, audio, group) if bundled else None
    # The first accepted section of the group carries the transport (RFC 9143 section 7.3).
    tagged = sections[min(at, events)] if events is not None else audio
    ufrag = tagged.first("ice-ufrag") or _first(session, "ice-ufrag")
    password = tagged.first("ice-pwd") or _first(session, "ice-pwd")
    if not ufrag or not password:
        raise MediaError("the offer lacks a=ice-ufrag or a=ice-pwd")
    if (
        not 4 <= len(ufrag) <= 256
        or not 22 <= len(password) <= 256
        or not _ICE_CHARS.fullmatch(ufrag + password)
    ):
        raise MediaError("the offer's a=ice-ufrag or a=ice-pwd is malformed")
    return Offer(
        sections=sections,
        audio=at,
        events=events,
        codecs=codecs,
        direction=_direction(audio, session),
        ufrag=ufrag,
        password=password,
        fingerprints=_fingerprints(tagged.attributes.get("fingerprint") or session.get("fingerprint") or []),
        setup=_setup(tagged.first("setup") or _first(session, "setup") or "actpass"),
        bundled=bundled,
        sctp_port=_sctp_port(sections[events]) if events is not None else 5000,
    )


def _split(text: str) -> tuple[dict[str, list[str]], list[Section]]:
    """Session attributes and sections. Unknown lines are passed over, as RFC 8866 section 5 wants."""
    if len(text) > MAX_OFFER:
        raise MediaError(f"the offer is longer than {MAX_OFFER} characters")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines or lines[0].strip() != "v=0":
        raise MediaError("the offer is not SDP: it does not begin with v=0")
    if len(lines) > MAX_LINES:
        raise MediaError(f"the offer has more than {MAX_LINES} lines")
    session: dict[str, list[str]] = {}
    sections: list[Section] = []
    attributes = session
    for number, line in enumerate(lines, 1):
        if line.startswith("m="):
            section = _section(line, number)
            sections.append(section)
            attributes = section.attributes
            if len(sections) > MAX_SECTIONS:
                raise MediaError(f"the offer has more than {MAX_SECTIONS} m-lines")
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.setdefault(name.strip(), []).append(value.strip())
        elif line.strip() and line[1:2] != "=":
            raise MediaError(f"the offer is not SDP: line {number} is not of the form <letter>=<value>")
    return session, sections


def _section(line: str, number: int) -> Section:
    fields = line[2:].split()
    port = fields[1].partition("/")[0] if len(fields) >= 4 else ""
    if not (_NUMBER.fullmatch(port) and int(port) < 65536):
        raise MediaError(f"the offer's m-line at line {number} is malformed")
    return Section(fields[0], int(port), fields[2], fields[3:], {})


def _first(attributes: dict[str, list[str]], name: str) -> str | None:
    values = attributes.get(name)
    return values[0] if values else None


def _usable(section: Section) -> bool:
    return section.port != 0 or "bundle-only" in section.attributes


def _find_audio(sections: list[Section]) -> int:
    audio = [at for at, section in enumerate(sections) if section.kind == "audio" and _usable(section)]
    if not audio:
        raise MediaError("the offer has no audio m-line")
    for at in audio:
        if sections[at].protocol.upper() in (
            "UDP/TLS/RTP/SAVPF",
            "UDP/TLS/RTP/SAVP",
            "RTP/SAVPF",
            "TCP/TLS/RTP/SAVPF",
        ):
            return at
    raise MediaError("the offer's audio is not DTLS-SRTP (UDP/TLS/RTP/SAVPF)")


def _find_events(sections: list[Section], audio: Section, group: list[str]) -> int | None:
    for at, section in enumerate(sections):
        if (
            section.kind == "application"
            and _usable(section)
            and "DTLS/SCTP" in section.protocol.upper()
            and "webrtc-datachannel" in section.formats
            and (section.first("mid") or "") in group
        ):
            return at
    return None


def _bundle_group(session: dict[str, list[str]]) -> list[str]:
    for value in session.get("group", []):
        words = value.split()
        if words and words[0].upper() == "BUNDLE":
            return words[1:]
    return []


def _codecs(audio: Section) -> list[Codec]:
    maps: dict[str, str] = {"0": "PCMU/8000", "8": "PCMA/8000"}
    parameters: dict[str, dict[str, str]] = {}
    for value in audio.attributes.get("rtpmap", []):
        number, _, encoding = value.partition(" ")
        maps[number] = encoding.strip()
    for value in audio.attributes.get("fmtp", []):
        number, _, rest = value.partition(" ")
        pairs = (item.strip().partition("=") for item in rest.split(";"))
        parameters[number] = {key.strip().lower(): val.strip() for key, _, val in pairs if key.strip()}
    codecs: list[Codec] = []
    for number in audio.formats:
        name = {"opus/48000/2": "opus", "pcmu/8000": "pcmu", "pcmu/8000/1": "pcmu", "pcma/8000": "pcma",
                "pcma/8000/1": "pcma"}.get(maps.get(number, "").lower())  # fmt: skip
        known = _NUMBER.fullmatch(number) and int(number) < 128
        if name and known and all(codec.name != name for codec in codecs):
            rate = 48000 if name == "opus" else 8000
            codecs.append(Codec(int(number), name, rate, parameters.get(number, {})))
    return codecs


def _direction(audio: Section, session: dict[str, list[str]]) -> str:
    for attributes in (audio.attributes, session):
        for name in _MIRROR:
            if name in attributes:
                return name
    return "sendrecv"


def _fingerprints(values: list[str]) -> list[tuple[str, str]]:
    if not values:
        raise MediaError("the offer lacks a=fingerprint")
    found: list[tuple[str, str]] = []
    for value in values:
        algorithm, _, digest = value.partition(" ")
        size = _HASHES.get(algorithm.lower())
        if size is None:
            continue
        if not _DIGEST.fullmatch(digest.strip()) or len(digest.strip()) != 3 * size - 1:
            raise MediaError("the offer's a=fingerprint is malformed")
        found.append((algorithm.lower(), digest.strip().upper()))
    if not found:
        raise MediaError("the offer's a=fingerprint uses no supported hash (sha-256, sha-384 or sha-512)")
    return found


def _setup(value: str) -> str:
    if value not in ("actpass", "active", "passive"):
        raise MediaError("the offer's a=setup is none of actpass, active, passive")
    return value


def _sctp_port(section: Section) -> int:
    value = section.first("sctp-port") or "5000"
    if not (_NUMBER.fullmatch(value) and 0 < int(value) < 65536):
        raise MediaError("the offer's a=sctp-port is malformed")
    return int(value)


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
