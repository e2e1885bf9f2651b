"""How DTLS's records leave: in datagrams that fit any path."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media.dtls import Dtls, Identity, datagrams

LARGEST = 1280 - 48
"""Bytes that IPv6 carries on any path, less its own header and UDP's."""


def record(size: int, filling: int) -> bytes:
    return b"\x16\xfe\xfd" + bytes(8) + size.to_bytes(2, "big") + bytes([filling]) * size


@given(st.lists(st.integers(0, LARGEST - 50), max_size=20))
def test_records_are_packed_whole_and_in_order(sizes: list[int]) -> None:
    records = [record(size, number) for number, size in enumerate(sizes)]
    sent = list(datagrams(b"".join(records)))
    assert b"".join(sent) == b"".join(records)
    assert all(0 < len(data) <= LARGEST for data in sent)
    starts = {sum(map(len, records[:number])) for number in range(len(records))}
    assert {sum(map(len, sent[:number])) for number in range(len(sent))} <= starts | {0}
    assert len(sent) <= 1 + 2 * sum(map(len, records)) // 1200, "no more than it takes"


def test_a_whole_handshake_fits_however_long_the_peers_chain_is() -> None:
    sent: list[tuple[bool, bytes]] = []
    identity = Identity()
    # So much in the certificate's flight that it takes several datagrams.
    for _ in range(12):
        identity.context.add_extra_chain_cert(_another())
    ends = [
        Dtls(
            identity,
            client=client,
            fingerprints=[("sha-256", identity.fingerprint)],
            transmit=lambda data, client=client: sent.append((client, data)),
        )
        for client in (False, True)
    ]
    for end in ends:
        end.start()
    sizes = []
    while sent:
        client, data = sent.pop(0)
        sizes.append(len(data))
        ends[not client].receive(data)
    assert all(end.srtp is not None for end in ends)
    assert max(sizes) <= LARGEST
    assert sum(sizes) > 5 * LARGEST


def _another() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256())
