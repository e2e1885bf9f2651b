"""STUN (RFC 8489), as much of it as an ICE-lite agent needs: Binding requests in, Binding responses out,
short-term credentials, and the Binding request of our own that asks a quiet peer whether it still lives."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Iterator

import msgspec

from vivavoz.media.tcp import TcpAddress

MAGIC_COOKIE = 0x2112A442
HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLED = 0x8029
_ICE_CONTROLLING = 0x802A

_FINGERPRINT_XOR = 0x5354554E
_MAX_MESSAGE = 1280

Address = tuple[str, int] | TcpAddress
"""Of a peer. UDP over IPv6 adds flow and scope to it, as sockets do."""


class Message(msgspec.Struct, kw_only=True):
    """A parsed message. Its credentials are not yet verified: see :func:`authentic`."""

    kind: int
    transaction: bytes
    username: str = ""
    use_candidate: bool = False
    controlled: bool = False
    integrity_at: int = -1
    """Offset of MESSAGE-INTEGRITY in the datagram; -1 without one."""


def parse(data: bytes) -> Message | None:
    """A STUN message as ICE sends it, or None for anything that is not a whole and undamaged one: FINGERPRINT
    must be there (RFC 8445 section 7.1)."""
    if len(data) < 20 or len(data) > _MAX_MESSAGE:
        return None
    kind, length, cookie, transaction = HEADER.unpack_from(data)
    if cookie != MAGIC_COOKIE or length % 4 or length + 20 != len(data) or kind & 0xC000:
        return None
    message = Message(kind=kind, transaction=transaction)
    undamaged = False
    for name, start, size in _attributes(data):
        if size < 0:
            return None
        if name == _FINGERPRINT:
            if size != 4 or start + 4 != len(data):
                return None
            (given,) = struct.unpack_from("!I", data, start)
            if given != zlib.crc32(data[: start - 4]) ^ _FINGERPRINT_XOR:
                return None
            undamaged = True
        elif message.integrity_at >= 0:
            continue  # RFC 8489 14.5: nothing but FINGERPRINT counts after MESSAGE-INTEGRITY
        elif name == _USERNAME:
            try:
                message.username = data[start : start + size].decode("utf-8")
            except UnicodeDecodeError:
                return None
        elif name == _USE_CANDIDATE:
            message.use_candidate = True
        elif name == _ICE_CONTROLLED:
            message.controlled = True
        elif name == _MESSAGE_INTEGRITY:
            if size != 20:
                return None
            message.integrity_at = start - 4
    return message if undamaged else None


def _attributes(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, offset of the value, length); a length of -1 says that the message is cut short."""
    at = 20
    while at < len(data):
        name, size = _ATTRIBUTE.unpack_from(data, at)
        if at + 4 + size > len(data):
            yield name, at + 4, -1
            return
        yield name, at + 4, size
        at += 4 + (size + 3 & ~3)


def authentic(data: bytes, message: Message, password: bytes) -> bool:
    """Whether MESSAGE-INTEGRITY is there and was made with ``password``."""
    at = message.integrity_at
    if at < 0:
        return False
    # The header's length, as it stood when the attribute was computed: up to and with it.
    signed = data[:2] + struct.pack("!H", at + 4) + data[4:at]
    return hmac.compare_digest(hmac.digest(password, signed, hashlib.sha1), data[at + 4 : at + 24])


def binding_success(transaction: bytes, mapped: Address, password: bytes) -> bytes:
    """The answer to a good Binding request that came from ``mapped``."""
    return _seal(BINDING_SUCCESS, transaction, _xor_mapped(mapped, transaction), password)


def role_conflict(transaction: bytes, password: bytes) -> bytes:
    """487: the peer says that it is controlled, but so is a lite agent, always."""
    reason = b"Role Conflict"
    body = struct.pack("!HHHBB", _ERROR_CODE, 4 + len(reason), 0, 4, 87) + reason + b"\0" * (-len(reason) % 4)
    return _seal(BINDING_ERROR, transaction, body, password)


def binding_request(transaction: bytes, username: str, password: bytes, tie_breaker: int) -> bytes:
    """A check of our own, as controlled agent."""
    name = username.encode()
    body = struct.pack("!HH", _USERNAME, len(name)) + name + b"\0" * (-len(name) % 4)
    body += struct.pack("!HHI", _PRIORITY, 4, 0x6EFFFFFF) + struct.pack(
        "!HHQ", _ICE_CONTROLLED, 8, tie_breaker
    )
    return _seal(BINDING_REQUEST, transaction, body, password)


def _seal(kind: int, transaction: bytes, body: bytes, password: bytes) -> bytes:
    """Header, MESSAGE-INTEGRITY and FINGERPRINT around the attributes."""
    signed = HEADER.pack(kind, len(body) + 24, MAGIC_COOKIE, transaction) + body
    digest = hmac.digest(password, signed, hashlib.sha1)
    body += _ATTRIBUTE.pack(_MESSAGE_INTEGRITY, 20) + digest
    whole = HEADER.pack(kind, len(body) + 8, MAGIC_COOKIE, transaction) + body
    return whole + struct.pack("!HHI", _FINGERPRINT, 4, zlib.crc32(whole) ^ _FINGERPRINT_XOR)


def _xor_mapped(address: Address, transaction: bytes) -> bytes:
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # a dual-stack socket shows IPv4 peers so
    mask = struct.pack("!I", MAGIC_COOKIE) + transaction
    packed = bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    family = 1 if ip.version == 4 else 2
    head = struct.pack(
        "!HHBBH", _XOR_MAPPED_ADDRESS, 4 + len(packed), 0, family, address[1] ^ (MAGIC_COOKIE >> 16)
    )
    return head + packed
