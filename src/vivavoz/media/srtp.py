"""SRTP (RFC 3711, RFC 7714) keyed by DTLS (RFC 5764), over libsrtp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from vivavoz.media.ports import Drop

_REPLAY_WINDOW = 1024
_MAX_STREAMS = 64
"""SSRCs that one peer may use in a call: libsrtp keeps the state of each for good."""


class Profile(msgspec.Struct, frozen=True):
    """A protection profile, by the names of OpenSSL and libsrtp; lengths in bytes."""

    name: bytes
    number: int
    key: int
    salt: int


def _supported() -> list[Profile]:
    """What this libsrtp was built with, cheapest first: an AES-GCM packet costs half of what one with
    HMAC-SHA1 does."""
    known = [
        Profile(b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
        Profile(b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
        Profile(b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
    ]
    found = []
    for profile in known:
        try:
            Policy(srtp_profile=profile.number)
        except SrtpError:
            continue
        found.append(profile)
    return found


PROFILES = _supported()


class Srtp:
    """Both directions of one call. ``material`` is what DTLS exported for ``profile``."""

    def __init__(self, profile: Profile, material: bytes, *, client: bool) -> None:
        self.dropped: Counter[Drop] = Counter()
        key, salt = profile.key, profile.salt
        clients = material[:key] + material[2 * key : 2 * key + salt]
        servers = material[key : 2 * key] + material[2 * key + salt : 2 * (key + salt)]
        self._out = _session(profile, clients if client else servers, Policy.SSRC_ANY_OUTBOUND)
        self._in = _session(profile, servers if client else clients, Policy.SSRC_ANY_INBOUND)
        self._streams: set[bytes] = set()

    def protect(self, packet: bytes) -> bytes:
        return bytes(self._out.protect(packet))

    def protect_rtcp(self, packet: bytes) -> bytes:
        return bytes(self._out.protect_rtcp(packet))

    def unprotect(self, packet: bytes) -> bytes | None:
        """The plain RTP packet; None if it is forged, replayed, broken, or of a stream too many."""
        return self._opened(self._in.unprotect, packet, packet[8:12])

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        return self._opened(self._in.unprotect_rtcp, packet, packet[4:8])

    def _opened(self, unprotect: Callable[[bytes], bytes], packet: bytes, ssrc: bytes) -> bytes | None:
        known = ssrc in self._streams
        if not known and len(self._streams) >= _MAX_STREAMS:
            self.dropped["streams"] += 1
            return None
        try:
            plain = bytes(unprotect(packet))
        except (SrtpError, ValueError) as error:  # ValueError: longer than libsrtp takes
            # libsrtp's own words are all that pylibsrtp tells.
            self.dropped["replayed" if "replay" in str(error) else "forged"] += 1
            return None
        if not known:
            self._streams.add(ssrc)
        return plain


def _session(profile: Profile, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.number)
    policy.window_size = _REPLAY_WINDOW
    return Session(policy)
