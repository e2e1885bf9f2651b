"""Client secrets (``ek_…``): what a browser may hold.

A token is a sealed box that carries its session configuration, so that any worker can open it without a
lookup and nobody else can read it. One that would not fit a header leaves its configuration in the store and
carries the key to it. A token works any number of times until it expires; a session started with it outlives
it (Realtime reference, "Client secrets"). What is counted (a grant's ``max_calls``) or taken back is noted in
the store, which the workers of a machine share.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from vivavoz.server.sealing import NotOurs, Sealer
from vivavoz.server.store import Store
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.grants import Grant
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.translation import TranslationPatch, decode_kept_session

PREFIX = "ek_"
MAX_INLINE_CHARS = 4096
"""A longer token keeps its configuration in the store: servers and proxies refuse headers beyond 8 kB."""

_CONTEXT = b"vivavoz client secret 2"
_STORED_CONTEXT = b"vivavoz stored session 2"
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
    translation: TranslationPatch | None = None
    """In place of ``session``: the secret opens translation sessions, and no others."""
    model: str | None = None
    """The model's name where the session names none."""
    grant: Grant | None = None
    account: str = ""
    """Whose tokens per minute its calls use: who minted it."""
    digest: bytes = b""
    """Of the token: what the store knows it by."""


class Claim(NamedTuple):
    """One of the calls that a token may open."""

    key: str
    expires_at: int


class _Kept(msgspec.Struct, array_like=True):
    session: bytes | None
    """The patch as JSON."""
    grant: Grant | None


class _Box(msgspec.Struct, array_like=True):
    session_id: str
    issued_at: int
    expires_at: int
    model: str | None
    kept: _Kept | None
    stored: str | None
    """Its key in the store, where it is kept there."""
    account: str = ""


class Tokens:
    """Issues and opens client secrets."""

    def __init__(self, sealer: Sealer, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._sealer = sealer
        self._store = store
        self._clock = clock

    async def issue(
        self,
        session: AnyPatch | TranslationPatch | None,
        *,
        session_id: str,
        seconds: int,
        model: str | None = None,
        grant: Grant | None = None,
        account: str = "",
    ) -> tuple[str, ClientSecret]:
        """A new token and what it says. Raises StoreFull."""
        now = int(self._clock())
        expires_at = now + seconds
        kept = _Kept(msgspec.json.encode(session) if session is not None else None, grant)
        token = self._encode(_Box(session_id, now, expires_at, model, kept, None, account))
        if len(token) > MAX_INLINE_CHARS:
            key = secrets.token_hex(16)
            packed = _squeeze(msgspec.msgpack.encode(kept))
            await self._store.put(key, self._sealer.seal(packed, _STORED_CONTEXT + key.encode()), expires_at)
            token = self._encode(_Box(session_id, now, expires_at, model, None, key, account))
        return token, ClientSecret(
            session_id=session_id,
            issued_at=now,
            expires_at=expires_at,
            session=None if isinstance(session, TranslationPatch) else session,
            translation=session if isinstance(session, TranslationPatch) else None,
            model=model,
            grant=grant,
            account=account,
            digest=_digest(token),
        )

    async def open(self, token: str) -> ClientSecret:
        """What ``token`` says. Raises TokenError."""
        box = self._decode(token)
        if box.expires_at <= self._clock():
            raise TokenError(
                f"The client secret has expired (at Unix time {box.expires_at}). Mint a new one.",
                "client_secret_expired",
            )
        digest = _digest(token)
        if await self._store.get(_key(digest, "revoked"), box.expires_at) is not None:
            raise TokenError("The client secret was revoked. Mint a new one.", "client_secret_revoked")
        kept = box.kept
        if kept is None:
            kept = await self._stored(box.stored or "", box.expires_at)
        session = _session(kept.session)
        return ClientSecret(
            session_id=box.session_id,
            issued_at=box.issued_at,
            expires_at=box.expires_at,
            session=None if isinstance(session, TranslationPatch) else session,
            translation=session if isinstance(session, TranslationPatch) else None,
            model=box.model,
            grant=kept.grant,
            account=box.account,
            digest=digest,
        )

    async def claim(self, secret: ClientSecret) -> Claim | None:
        """One more call of a token; None where its calls are not counted. Raises TokenError where it has
        opened as many as it may, StoreFull."""
        calls = secret.grant.max_calls if secret.grant is not None else None
        if calls is None:
            return None
        keys = [_key(secret.digest, f"call {number}") for number in range(calls)]
        key = await self._store.claim(keys, secret.expires_at)
        if key is None:
            raise TokenError(
                f"The client secret has opened as many calls as it may ({calls}). Mint a new one.",
                "client_secret_used",
            )
        return Claim(key, secret.expires_at)

    async def release(self, claim: Claim) -> None:
        """The call was not opened after all."""
        await self._store.release(claim.key, claim.expires_at)

    async def revoke(self, token: str) -> None:
        """From now on it opens nothing; calls that it has opened go on. Idempotent. Raises TokenError for
        what is no token of ours, StoreFull."""
        if not token.startswith(PREFIX):
            raise TokenError(f"A client secret begins with '{PREFIX}'.", "client_secret_malformed")
        box = self._decode(token)
        key = _key(_digest(token), "revoked")
        # One that has expired opens nothing anyway.
        if box.expires_at > self._clock() and await self._store.get(key, box.expires_at) is None:
            await self._store.put(key, b"", box.expires_at)

    async def _stored(self, key: str, expires_at: int) -> _Kept:
        sealed = await self._store.get(key, expires_at)
        if sealed is None:
            raise TokenError(
                "The session configuration of this client secret is no longer kept here. Mint a new one.",
                "client_secret_gone",
            )
        try:
            packed = _unsqueeze(self._sealer.open(sealed, _STORED_CONTEXT + key.encode()))
            return msgspec.msgpack.decode(packed, type=_Kept)
        except (NotOurs, zlib.error, msgspec.MsgspecError) as error:
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


def _session(patch: bytes | None) -> AnyPatch | TranslationPatch | None:
    try:
        return decode_kept_session(patch) if patch is not None else None
    except ProtocolError:
        raise TokenError(
            "The client secret was minted by another version of this server. Mint a new one.",
            "client_secret_invalid",
        ) from None


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode(), digest_size=16).digest()


def _key(digest: bytes, what: str) -> str:
    return hashlib.blake2b(what.encode(), key=digest, digest_size=16).hexdigest()


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
