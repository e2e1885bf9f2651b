"""An ICE-lite agent (RFC 8445 section 2.5): it answers the peer's checks and learns addresses from them."""

from __future__ import annotations

import secrets
import string

from vivavoz.media import stun
from vivavoz.media.stun import Address, Message

_ALPHABET = string.ascii_letters + string.digits + "+/"
_STALE = 2.0  # s without a check on the selected path after which another authentic one is taken


def random_chars(count: int) -> str:
    """ICE characters of 6 random bits each."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


class IceAgent:
    """One call's agent. Addresses are trusted only after a check from them was authentic."""

    def __init__(self, *, ufrag: str, password: str, remote_ufrag: str, remote_password: str) -> None:
        self.selected: Address | None = None
        """Where to send: the address of the first good check until one is nominated, so that DTLS need not
        wait for that."""
        self._username = f"{ufrag}:{remote_ufrag}"
        self._probe_username = f"{remote_ufrag}:{ufrag}"
        self._password = password.encode()
        self._remote_password = remote_password.encode()
        self._tie_breaker = secrets.randbits(64)
        self._checked = 0.0
        self._probe: bytes | None = None

    def request(
        self, data: bytes, message: Message, source: Address, now: float
    ) -> tuple[bytes | None, bool]:
        """A Binding request: (the answer to send to ``source``, whether it was authentic)."""
        if message.username != self._username or not stun.authentic(data, message, self._password):
            return None, False
        if message.controlled:
            return stun.role_conflict(message.transaction, self._password), False
        if message.use_candidate or self.selected is None or now - self._checked > _STALE:
            self.selected = source
        if source == self.selected:
            self._checked = now
        return stun.binding_success(message.transaction, source, self._password), True

    def lost(self, address: Address) -> None:
        """Nothing reaches ``address`` any more: the next authentic check decides where to send."""
        if self.selected == address:
            self.selected = None

    def probe(self) -> bytes:
        """A check of our own, to ask a quiet peer whether it lives. (A lite agent need not send any; a full
        one answers them.)"""
        self._probe = secrets.token_bytes(12)
        return stun.binding_request(
            self._probe, self._probe_username, self._remote_password, self._tie_breaker
        )

    def response(self, data: bytes, message: Message) -> bool:
        """Whether this is the authentic answer to the last probe."""
        if message.transaction != self._probe or not stun.authentic(data, message, self._remote_password):
            return False
        self._probe = None
        return True
