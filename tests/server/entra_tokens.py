"""An Entra of our own: keys made on the spot, and tokens signed with them."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

TENANT = "11111111-2222-3333-4444-555555555555"
AUDIENCE = "https://cognitiveservices.azure.com"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@lru_cache
def rsa_key(bits: int = 2048, number: int = 1) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@lru_cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: PrivateKey, key_id: str, **members: Any) -> dict[str, Any]:
    """The public half."""
    if isinstance(key, rsa.RSAPrivateKey):
        found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": key_id, "use": "sig", **members}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys) or [jwk(rsa_key(), "one"), jwk(ec_key(), "two")]}).encode()


class FromNow(NamedTuple):
    """A time that is reckoned when the token is made: test cases are collected long before they run."""

    seconds: int


def claims(**changes: Any) -> dict[str, Any]:
    """Those of an application's token; None takes one out."""
    now = int(time.time())
    all_of_them = {
        "aud": AUDIENCE,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 10,
        "nbf": now - 10,
        "exp": now + 3600,
        "tid": TENANT,
        "oid": "0000-person",
        "appid": "1111-program",
        "ver": "1.0",
        **changes,
    }
    return {
        name: now + value.seconds if isinstance(value, FromNow) else value
        for name, value in all_of_them.items()
        if value is not None
    }


def token(key: Any = None, algorithm: str = "RS256", headers: Any = None, **changes: Any) -> str:
    """Signed by the key ``one`` unless it says otherwise."""
    headers = {"kid": "one"} if headers is None else headers
    return jwt.encode(claims(**changes), key or rsa_key(), algorithm=algorithm, headers=headers)
