"""DTLS 1.2 (RFC 6347) of one call, over OpenSSL with memory BIOs: datagrams in, datagrams and data out. It
has no socket, task or timer; whoever owns it calls :meth:`Dtls.tick`."""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from vivavoz.media.srtp import PROFILES, Srtp

MTU = 1200
"""Bytes of a DTLS datagram: what fits any path (IPv6's 1280 less IP and UDP headers), rounded down."""
_RECORD_HEADER = 13
_APPLICATION_DATA = 23
_FLIGHT = 65536
"""Bytes; more than OpenSSL ever has to send at once."""
_EXPORTER = b"EXTRACTOR-dtls_srtp"
_DTLS_1_2 = 0xFEFD
_OP_NO_RENEGOTIATION = 1 << 30
_RESEND = 0.1  # s without an answer after which a flight is sent again; then twice as long each time
_RESEND_MOST = 0.8
"""OpenSSL's own timer begins at a second, and cannot be told otherwise from here. These are the same
datagrams once more, as a network may repeat them: whoever had them drops them."""
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
_HASHES = {"sha-256": hashes.SHA256(), "sha-384": hashes.SHA384(), "sha-512": hashes.SHA512()}


class Identity:
    """A self-signed certificate and the OpenSSL context that uses it; one serves all calls of an engine."""

    def __init__(self, *, days: int = 30) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(8))])
        now = datetime.datetime.now(tz=datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = fingerprint(certificate, "sha-256")
        self._renew_at = now + datetime.timedelta(days=days / 2)
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | _OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 16 kB of a call that are empty nearly all the time
        # The certificates are self-signed: it is the fingerprint of the signalled offer that vouches for one.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(b":".join(profile.name for profile in PROFILES))
        self.context = context

    @property
    def stale(self) -> bool:
        """Half of its life is over: new calls should have another."""
        return datetime.datetime.now(tz=datetime.UTC) >= self._renew_at


def fingerprint(certificate: x509.Certificate, algorithm: str) -> str:
    """``AB:CD:...`` (RFC 8122). ``algorithm`` is sha-256, sha-384 or sha-512."""
    return certificate.fingerprint(_HASHES[algorithm]).hex(":").upper()


def datagrams(records: bytes, mtu: int = MTU) -> Iterator[bytes]:
    """A flight of DTLS records, packed into datagrams on record boundaries (a memory BIO keeps none)."""
    start = at = 0
    while at < len(records):
        end = at + _RECORD_HEADER + int.from_bytes(records[at + 11 : at + 13], "big")
        if end - start > mtu and at > start:
            yield records[start:at]
            start = at
        at = end
    if start < len(records):
        yield records[start:]


def _is_one_record_of_data(datagram: bytes) -> bool:
    """What nearly all datagrams are once the handshake is over."""
    length = int.from_bytes(datagram[11:_RECORD_HEADER], "big")
    return datagram[0] == _APPLICATION_DATA and _RECORD_HEADER + length == len(datagram)


class DtlsError(Exception):
    """The handshake failed for good; the text says why (safe to log)."""


class Dtls:
    """One association. ``transmit`` sends a datagram to the peer."""

    def __init__(
        self,
        identity: Identity,
        *,
        client: bool,
        fingerprints: list[tuple[str, str]],
        transmit: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.srtp: Srtp | None = None
        """Set when the handshake is done and the peer is who signed the offer."""
        self.closed = False
        """The peer has said goodbye, or we have."""
        self._fingerprints = fingerprints
        self._transmit = transmit
        self._clock = clock
        self._flight: list[bytes] = []  # what the peer may not have got
        self._resend_at = 0.0
        self._resend_after = _RESEND
        self._started = False
        self._ssl = SSL.Connection(identity.context, None)
        self._ssl.set_ciphertext_mtu(MTU)
        if client:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()

    def start(self) -> None:
        """The path is open: a client speaks first, a server begins to listen. Raises :class:`DtlsError`."""
        if not self._started:
            self._started = True
            self._handshake()

    def receive(self, datagram: bytes) -> list[bytes]:
        """A datagram from the peer -> application data it carried. Raises :class:`DtlsError`."""
        if not self._started or self.closed:
            return []
        self._ssl.bio_write(datagram)
        if self.srtp is None:
            self._handshake()
        data: list[bytes] = []
        # To ask OpenSSL for what is not there takes as long as to decrypt a record: it raises.
        alone = _is_one_record_of_data(datagram)
        while self.srtp is not None and not self.closed:
            try:
                data.append(self._ssl.recv(16384))
                self._flight = []
                if alone:
                    return data
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.closed = True
            except SSL.Error:
                # A record that does not authenticate is dropped (RFC 6347 section 4.1.2.7), but a fatal alert
                # of the peer is the end.
                self.closed = bool(self._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
                break
        self._flush()
        return data

    def tick(self) -> None:
        """Send a lost flight again when its time has come. Raises :class:`DtlsError`."""
        if not self._started or self.closed:
            return
        if self.srtp is None:
            timeout = self._ssl.DTLSv1_get_timeout()
            if timeout is not None and timeout <= 0:
                try:
                    self._ssl.DTLSv1_handle_timeout()
                except SSL.Error as error:
                    raise DtlsError("the DTLS handshake got no answer") from error
                self._flight = self._flush() or self._flight
                return
        if self._flight and self._clock() >= self._resend_at:
            for datagram in self._flight:
                self._transmit(datagram)
            self._resend_after = min(2 * self._resend_after, _RESEND_MOST)
            self._resend_at = self._clock() + self._resend_after

    def send(self, data: bytes) -> None:
        """Application data of at most a datagram. Dropped before the handshake and after the close."""
        if self.srtp is None or self.closed:
            return
        try:
            self._ssl.send(data)
        except SSL.Error:
            return
        self._flush()

    def close(self) -> None:
        """Send close_notify."""
        if self._started and not self.closed:
            self.closed = True
            try:
                self._ssl.shutdown()
            except SSL.Error:
                return
            self._flush()

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
            # Whoever speaks last cannot know that it was heard; the other one owes nothing any more.
            self._sent(self._flush())
        except SSL.WantReadError:
            if flight := self._flush():
                self._sent(flight)
            return
        except SSL.Error as error:
            self.closed = True
            self._flush()
            raise DtlsError("the DTLS handshake failed") from error
        self._verify()
        chosen = self._ssl.get_selected_srtp_profile()
        for profile in PROFILES:
            if profile.name == chosen:
                material = self._ssl.export_keying_material(_EXPORTER, 2 * (profile.key + profile.salt))
                self.srtp = Srtp(profile, material, client=self.client)
                return
        raise DtlsError("the peer agreed to no SRTP profile")

    def _sent(self, flight: list[bytes]) -> None:
        self._flight = flight
        self._resend_after = _RESEND
        self._resend_at = self._clock() + _RESEND

    def _verify(self) -> None:
        """The peer's certificate is one that its offer named (RFC 8122 section 5)."""
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        strongest = max(algorithm for algorithm, _ in self._fingerprints)
        wanted = [digest for algorithm, digest in self._fingerprints if algorithm == strongest]
        if certificate is None or fingerprint(certificate, strongest) not in wanted:
            self.close()
            raise DtlsError("the peer's certificate does not match the offer's fingerprint")

    def _flush(self) -> list[bytes]:
        """Send what OpenSSL has to say; the datagrams that it took."""
        try:
            records = self._ssl.bio_read(_FLIGHT)
        except SSL.Error:
            return []
        sent = list(datagrams(records))
        for datagram in sent:
            self._transmit(datagram)
        return sent
