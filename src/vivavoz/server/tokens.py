"""Client secrets (``ek_…``): what a browser may hold.

A token is a sealed box that carries its session configuration, so that any worker can open it without a
lookup and nobody else can read it. One that would not fit a header leaves its configuration in the store and
carries the key to it. A token works any number of times until it expires; a session started with it outlives
it (Realtime reference, "Client secrets").
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
import zlib
from collections.abc import Callable

import msgspec

from vivavoz.server.sealing import NotOurs, Sealer
from vivavoz.server.store import Store
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.rest import decode_session

PREFIX = "ek_"
MAX_INLINE_CHARS = 4096
"""A longer token keeps its configuration in the store: servers and proxies refuse headers beyond 8 kB."""

_CONTEXT = b"vivavoz client secret 1"
_STORED_CONTEXT = b"vivavoz stored session 1"
_MAX_PLAIN = 16 * 2**20
_PADDING = 64


class TokenError(Exception):
    """The token opens nothing; ``message`` says why, ``code`` for programs."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says."""

    session_id: str
    issued_at: int
    """Unix seconds, as is ``expires_at``."""
    expires_at: int
    session: AnyPatch | None
    model: str | None = None
    """The model's name where the session names none."""


class _Box(msgspec.Struct, array_like=True):
    session_id: str
    issued_at: int
    expires_at: int
    model: str | None
    session: bytes | None
    """The patch as JSON."""
    stored: str | None
    """Key of the patch in the store."""


class Tokens:
    """Issues and opens client secrets."""

    def __init__(self, sealer: Sealer, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._sealer = sealer
        self._store = store
        self._clock = clock

    async def issue(
        self, session: AnyPatch | None, *, session_id: str, seconds: int, model: str | None = None
    ) -> tuple[str, ClientSecret]:
        """A new token and what it says. Raises StoreFull."""
        now = int(self._clock())
        secret = ClientSecret(
            session_id=session_id, issued_at=now, expires_at=now + seconds, session=session, model=model
        )
        patch = msgspec.json.encode(session) if session is not None else None
        box = _Box(session_id, now, secret.expires_at, model, patch, None)
        token = self._encode(box)
        if len(token) > MAX_INLINE_CHARS and patch is not None:
            key = secrets.token_hex(16)
            sealed = self._sealer.seal(_squeeze(patch), _STORED_CONTEXT + key.encode())
            await self._store.put(key, sealed, secret.expires_at)
            token = self._encode(_Box(session_id, now, secret.expires_at, model, None, key))
        return token, secret

    async def open(self, token: str) -> ClientSecret:
        """What ``token`` says. Raises TokenError."""
        box = self._decode(token)
        if box.expires_at <= self._clock():
            raise TokenError(
                f"The client secret has expired (at Unix time {box.expires_at}). Mint a new one.",
                "client_secret_expired",
            )
        patch = box.session
        if box.stored is not None:
            patch = await self._stored(box.stored, box.expires_at)
        return ClientSecret(
            session_id=box.session_id,
            issued_at=box.issued_at,
            expires_at=box.expires_at,
            session=_session(patch),
            model=box.model,
        )

    async def _stored(self, key: str, expires_at: int) -> bytes:
        sealed = await self._store.get(key, expires_at)
        if sealed is None:
            raise TokenError(
                "The session configuration of this client secret is no longer kept here. Mint a new one.",
                "client_secret_gone",
            )
        try:
            return _unsqueeze(self._sealer.open(sealed, _STORED_CONTEXT + key.encode()))
        except (NotOurs, zlib.error) as error:
            raise _forged() from error

    def _encode(self, box: _Box) -> str:
        sealed = self._sealer.seal(_squeeze(msgspec.msgpack.encode(box)), _CONTEXT)
        return PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _decode(self, token: str) -> _Box:
        text = token.removeprefix(PREFIX)
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        # One text for one token: other spellings of the same bytes (spare bits, padding) are forgeries too.
        if not sealed or base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != text:
            raise TokenError(
                "The client secret is malformed: it was cut short or altered on its way.",
                "client_secret_malformed",
            )
        try:
            return msgspec.msgpack.decode(_unsqueeze(self._sealer.open(sealed, _CONTEXT)), type=_Box)
        except (NotOurs, zlib.error, msgspec.MsgspecError) as error:
            raise _forged() from error


def _session(patch: bytes | None) -> AnyPatch | None:
    try:
        return decode_session(patch) if patch is not None else None
    except ProtocolError:
        raise TokenError(
            "The client secret was minted by another version of this server. Mint a new one.",
            "client_secret_invalid",
        ) from None


def _forged() -> TokenError:
    return TokenError(
        "The client secret is not one of this server's: it was altered, cut short, or sealed under another "
        "key. Mint a new one here.",
        "client_secret_invalid",
    )


def _squeeze(plain: bytes) -> bytes:
    # Padding blurs how well the text compressed, which would say something about what is in it.
    packed = zlib.compress(plain, 9)
    return packed + bytes(-len(packed) % _PADDING)


def _unsqueeze(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed, _MAX_PLAIN)
