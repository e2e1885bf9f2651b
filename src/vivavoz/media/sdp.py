"""Offers (RFC 8866, RFC 8829, RFC 8839, RFC 8841, RFC 9143): what one audio stream and one data channel over
one transport need, and no more."""

from __future__ import annotations

import re

import msgspec

from vivavoz.media.ports import MediaError

MAX_OFFER = 65536
MAX_LINES = 2000
MAX_SECTIONS = 32

_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")
_DIGEST = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")
_NUMBER = re.compile(r"[0-9]{1,10}")
"""Python refuses to read endless ones with an error of its own."""


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
        for name in _DIRECTIONS:
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
