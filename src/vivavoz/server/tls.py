"""HTTPS with a certificate of one's own, or with one made here for this machine.

A local certificate comes from an authority made for it alone, whose key is forgotten once the certificate is
signed: whoever trusts ``ca.pem`` trusts this one certificate and nothing that could be made later.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vivavoz.config import Config, ConfigError
from vivavoz.server.sealing import make_private_dir, write_private

_LIFE = datetime.timedelta(days=820)
"""Apple's platforms refuse longer ones (825 days)."""
_RENEW = datetime.timedelta(days=30)


class Certificate(NamedTuple):
    """PEM files. ``authority`` is what clients are told to trust; None: the operator's own certificate."""

    cert: Path
    key: Path
    authority: Path | None


def certificate(config: Config) -> Certificate:
    """The configured certificate, else the local one, made or renewed where needed. Raises ConfigError."""
    if config.tls.cert and config.tls.key:
        return Certificate(Path(config.tls.cert), Path(config.tls.key), None)
    try:
        return local_certificate(config.state_dir / "tls", _names(config))
    except OSError as error:
        raise ConfigError(f"the state directory {config.state_dir} cannot be used: {error}") from error


def server_context(found: Certificate) -> ssl.SSLContext:
    """Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(found.cert, found.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls: cannot use {found.cert} with {found.key}: {error}") from error
    return context


def _names(config: Config) -> list[str]:
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname().lower(), *config.server.advertise]
    host = config.server.host
    if host and host not in ("0.0.0.0", "::"):
        names.append(host)
    return sorted(set(filter(None, names)))


def local_certificate(directory: Path, names: Iterable[str]) -> Certificate:
    """The certificate kept in ``directory``; a new one where there is none, it ends within 30 days, or it
    lacks a name. A new one must be trusted anew."""
    found = Certificate(directory / "cert.pem", directory / "key.pem", directory / "ca.pem")
    wanted = list(names)
    if not _usable(found, wanted):
        _make(found, wanted)
    return found


def _usable(found: Certificate, names: list[str]) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(found.cert.read_bytes())
        serialization.load_pem_private_key(found.key.read_bytes(), None)
        covered = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    until = leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return until > _RENEW and set(map(_general_name, names)) <= set(covered)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())


def _make(found: Certificate, names: list[str]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _subject(f"vivavoz local authority ({socket.gethostname()[:30]}, {now:%Y-%m-%d})")
    authority = (
        _builder(authority_name, authority_name, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        _builder(_subject("vivavoz"), authority_name, leaf_key, now)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    make_private_dir(found.cert.parent)
    assert found.authority is not None
    _replace(found.key, key)
    _replace(found.authority, authority.public_bytes(pem))
    _replace(found.cert, leaf.public_bytes(pem) + authority.public_bytes(pem))


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def _replace(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    write_private(aside, data)
    aside.replace(path)
