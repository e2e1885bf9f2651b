"""The public keys that tokens are signed with: a JSON Web Key Set (RFC 7517) from a file or a URL.

Read when the first token asks for it, kept, and read again when it has grown old or a token names a key that
is not in it, but never more than once in a while: a stranger can invent key ids as fast as he likes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = logging.getLogger("vivavoz.server")

FRESH_S = 3600.0
"""How long a key set is used without a look whether it has changed."""
RETRY_S = 60.0
"""The least time between two looks."""
MAX_BYTES = 256 * 1024
_FETCH_S = 5.0
_MAX_KEYS = 256
_LEAST_RSA_BITS = 2048

Read = Callable[[], Awaitable[bytes]]


class KeysUnavailable(Exception):
    """No key set could be read; ``message`` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class KeySet:
    """Keys by id."""

    def __init__(self, read: Read, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``read`` gives the set as JSON; raises OSError, ValueError, aiohttp.ClientError, TimeoutError."""
        self._read = read
        self._clock = clock
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._failure = ""
        self._reading = asyncio.Lock()

    async def find(self, key_id: str) -> PyJWK | None:
        """The key called so; None: there is none. Raises KeysUnavailable where no set was ever read."""
        if self._wants_reading(key_id):
            async with self._reading:
                if self._wants_reading(key_id):
                    await self._refresh()
        if self._read_at is None:
            raise KeysUnavailable(self._failure)
        return self._keys.get(key_id)

    def _wants_reading(self, key_id: str) -> bool:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < RETRY_S:
            return False
        old = self._read_at is None or now - self._read_at >= FRESH_S
        return old or key_id not in self._keys

    async def _refresh(self) -> None:
        try:
            self._keys = parse(await self._read())
            self._read_at = self._clock()
        except (OSError, ValueError, aiohttp.ClientError, TimeoutError) as error:
            self._failure = str(error) or type(error).__name__
            # Those that were read before are still good: keys are changed long before they end.
            log.error("the keys of Entra tokens cannot be read: %s", self._failure)
        finally:
            # At the end: those who come meanwhile wait for it, rather than do without keys.
            self._tried_at = self._clock()


def parse(document: bytes) -> dict[str, PyJWK]:
    """The keys that can check a signature here: RSA of 2048 bits or more, and P-256. Others are left out.
    Raises ValueError where the document is no key set, or none of its keys is of use."""
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError('it is not a JSON Web Key Set ({"keys": [...]})') from error
    if not isinstance(entries, list):
        raise ValueError("its 'keys' is not a list")
    keys = {}
    for entry in entries[:_MAX_KEYS]:
        key = _usable(entry)
        if key is not None:
            keys[entry["kid"]] = key
    if not keys:
        raise ValueError("it has no key of use: RSA of 2048 bits or more, or P-256, with a 'kid'")
    return keys


def _usable(entry: Any) -> PyJWK | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        key = PyJWK(entry, algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    match key.key:
        case RSAPublicKey() if key.key.key_size >= _LEAST_RSA_BITS:
            return key
        case EllipticCurvePublicKey() if key.key.curve.name == "secp256r1":
            return key
    # A private key is nobody's to hand out, least of all to those who only check.
    return None


def file_reader(path: Path) -> Read:
    async def read() -> bytes:
        return await asyncio.to_thread(_read_file, path)

    return read


def _read_file(path: Path) -> bytes:
    with path.open("rb") as stream:
        return _bounded(stream.read(MAX_BYTES + 1))


def url_reader(url: str) -> Read:
    async def read() -> bytes:
        timeout = aiohttp.ClientTimeout(total=_FETCH_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as http,
            http.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"{url} answered {answer.status}")
            return _bounded(await _up_to(answer.content, MAX_BYTES + 1))

    return read


async def _up_to(stream: aiohttp.StreamReader, limit: int) -> bytes:
    data = bytearray()
    while len(data) < limit and (chunk := await stream.read(limit - len(data))):
        data += chunk
    return bytes(data)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"the key set is larger than {MAX_BYTES} bytes")
    return data
