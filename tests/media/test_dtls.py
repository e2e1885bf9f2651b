"""How DTLS's records leave: in datagrams that fit any path."""

from __future__ import annotations

import datetime
from collections.abc import Container, Mapping

import pytest
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


class Pair:
    """A client and a server in virtual time, and a line that loses what ``loses`` names: the numbers of
    datagrams, each way for itself."""

    def __init__(self, loses: Mapping[bool, Container[int]]) -> None:
        self.now = 0.0
        self._loses = loses
        self._sent = {True: 0, False: 0}
        self._underway: list[tuple[bool, bytes]] = []
        identity = Identity()
        self.ends = {client: self._end(identity, client) for client in (False, True)}
        for end in self.ends.values():
            end.start()

    def _end(self, identity: Identity, client: bool) -> Dtls:
        return Dtls(
            identity,
            client=client,
            fingerprints=[("sha-256", identity.fingerprint)],
            transmit=lambda data: self._transmit(client, data),
            clock=lambda: self.now,
        )

    def _transmit(self, client: bool, data: bytes) -> None:
        self._sent[client] += 1
        if self._sent[client] not in self._loses.get(client, ()):
            self._underway.append((client, data))

    @property
    def done(self) -> bool:
        return all(end.srtp is not None for end in self.ends.values())

    def run(self, until: float) -> float:
        """Let time pass until both are done; when that was."""
        while True:
            while self._underway:
                client, data = self._underway.pop(0)
                self.ends[not client].receive(data)
            if self.done or self.now >= until:
                return self.now
            self.now += 0.02
            for end in self.ends.values():
                end.tick()


@pytest.mark.parametrize(
    ("loses", "within"),
    [
        ({}, 0.0),
        ({True: [1]}, 0.15),
        ({False: [1]}, 0.15),
        ({True: [2]}, 0.15),
        ({True: [1], False: [1]}, 0.25),
        ({True: [1, 2, 3]}, 0.8),
        ({True: [1, 2, 3], False: [1, 2, 3]}, 1.6),
    ],
)
def test_a_lost_flight_is_sent_again_within_a_fraction_of_a_second(
    loses: Mapping[bool, Container[int]], within: float
) -> None:
    pair = Pair(loses)
    assert pair.run(10.0) <= within + 1e-6
    assert pair.done


def test_the_last_flight_is_sent_again_until_somebody_speaks() -> None:
    pair = Pair({False: [2]})  # the server's Finished
    assert 0.05 < pair.run(10.0) < 0.15
    assert pair.done
    pair.ends[True].send(b"hello")
    pair.run(0.0)
    sent = dict(pair._sent)
    for _ in range(200):
        pair.now += 0.02
        for end in pair.ends.values():
            end.tick()
    assert pair._sent == sent, "nobody owes anything"


def test_a_flight_that_nobody_answers_is_sent_ever_more_seldom() -> None:
    pair = Pair({True: range(10_000)})
    pair.run(15.0)
    assert 15 < pair._sent[True] < 25


def _another() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256())
