"""Sealed boxes: authenticated encryption (AEAD) under keys derived from the configuration.

The same secret gives the same keys in every worker and after a restart. The secret may be an API key that a
person chose, and a box is in the hands of strangers who could try guesses against it; so it is stretched with
scrypt before HKDF derives one key a purpose from it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from vivavoz.config import ConfigError, Secrets

_NONCE_BYTES = 12
_SALT = b"vivavoz sealing v1"


class NotOurs(Exception):
    """The box is forged, altered, cut short, or sealed under another secret: nobody can tell which."""


class Sealer:
    """Seals with the first secret, opens with any (so that a key can be rotated)."""

    def __init__(self, secrets: Sequence[str], purpose: str, *, stretch: int = 2**14) -> None:
        if not secrets:
            raise ValueError("a sealer needs a secret")
        self._boxes = [AESGCM(_derive(secret, purpose, stretch)) for secret in secrets]

    def seal(self, plain: bytes, context: bytes = b"") -> bytes:
        """``context`` is not inside, but opening needs the same."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._boxes[0].encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes = b"") -> bytes:
        """Raises NotOurs."""
        nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for key in self._boxes:
            try:
                return key.decrypt(nonce, box, context)
            except (InvalidTag, ValueError):
                continue
        raise NotOurs


def _derive(secret: str, purpose: str, stretch: int) -> bytes:
    stretched = Scrypt(salt=_SALT, length=32, n=stretch, r=8, p=1).derive(secret.encode())
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=purpose.encode()).derive(stretched)


def sealing_secrets(secrets: Secrets, state_dir: Path) -> tuple[str, ...]:
    """What keys are derived from: the configured token secret, else the API keys, else a random secret of
    this installation, made at first use (mode 0600). Raises ConfigError where that cannot be kept."""
    if secrets.token_secret:
        return (secrets.token_secret,)
    if secrets.api_keys:
        return secrets.api_keys
    try:
        return (_installation_secret(state_dir),)
    except OSError as error:
        raise ConfigError(f"the state directory {state_dir} cannot be used: {error}") from error


def _installation_secret(state_dir: Path) -> str:
    path = state_dir / "token-secret"
    make_private_dir(state_dir)
    for _ in range(2):
        try:
            found = path.read_text().strip()
        except FileNotFoundError:
            found = ""
        if len(found) >= 32:
            return found
        # Written aside and linked into place: two workers that start together end with the same secret.
        aside = state_dir / f".token-secret.{os.getpid()}.{os.urandom(4).hex()}"
        write_private(aside, os.urandom(32).hex().encode())
        try:
            if found or path.exists():
                aside.replace(path)
            else:
                os.link(aside, path)
                aside.unlink()
        except FileExistsError:
            aside.unlink()
    return path.read_text().strip()


def make_private_dir(path: Path) -> None:
    """A directory of our own, for this user only (0700), and so its parents. What is there keeps its mode."""
    if not path.parent.exists():
        make_private_dir(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """A new file for this user only (0600). Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
