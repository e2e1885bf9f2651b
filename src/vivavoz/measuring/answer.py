"""What a caller needs to know of an SDP answer."""

from __future__ import annotations

import ipaddress
import re

import msgspec

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ ", re.MULTILINE | re.IGNORECASE)
_MOST_ADDRESSES = 16


class AnswerError(ValueError):
    """The answer cannot be used; the text says what it lacks."""


class Answer(msgspec.Struct, frozen=True):
    """``addresses``: where to send checks, IPv4 over UDP. ``passive``: it waits for our DTLS hello."""

    user: str
    password: str
    fingerprint: str
    passive: bool
    addresses: list[tuple[str, int]]


def read_answer(sdp: str) -> Answer:
    """Raises :class:`AnswerError`."""
    found = [
        (host, int(port)) for host, port in _CANDIDATE.findall(sdp) if _is_ipv4(host) and int(port) < 65536
    ]
    if not found:
        raise AnswerError("the answer names no UDP candidate with an IPv4 address")
    return Answer(
        user=_value(sdp, "ice-ufrag"),
        password=_value(sdp, "ice-pwd"),
        fingerprint=_value(sdp, "fingerprint:sha-256", " ").upper(),
        passive=_value(sdp, "setup") == "passive",
        addresses=list(dict.fromkeys(found))[:_MOST_ADDRESSES],
    )


def _value(sdp: str, name: str, separator: str = ":") -> str:
    found = re.search(rf"^a={name}{separator}(.+)$", sdp, re.MULTILINE | re.IGNORECASE)
    if found is None:
        raise AnswerError(f"the answer has no a={name}")
    return found[1].strip()


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False
