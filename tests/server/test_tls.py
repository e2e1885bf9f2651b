"""HTTPS: the certificate made for this machine, its renewal, and a real handshake."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from vivavoz.config import Config, ConfigError, Server, Tls
from vivavoz.server import tls

NAMES = ["127.0.0.1", "::1", "localhost", "voice.lan"]


def test_it_is_made_once_and_the_key_is_private(tmp_path: Path) -> None:
    first = tls.local_certificate(tmp_path / "tls", NAMES)
    before = first.cert.read_bytes()
    assert tls.local_certificate(tmp_path / "tls", NAMES[:2]).cert.read_bytes() == before
    assert first.key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["ca.pem", "cert.pem", "key.pem"]


def test_a_missing_name_or_a_broken_file_makes_a_new_one(tmp_path: Path) -> None:
    found = tls.local_certificate(tmp_path, NAMES)
    before = found.cert.read_bytes()
    tls.local_certificate(tmp_path, [*NAMES, "other.lan"])
    assert found.cert.read_bytes() != before
    found.key.write_text("not a key")
    tls.local_certificate(tmp_path, NAMES)
    tls.server_context(found)


def test_one_that_ends_soon_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_LIFE", tls._RENEW)
    found = tls.local_certificate(tmp_path, NAMES)
    before = found.cert.read_bytes()
    monkeypatch.undo()
    tls.local_certificate(tmp_path, NAMES)
    assert found.cert.read_bytes() != before


def test_the_authority_signs_nothing_else(tmp_path: Path) -> None:
    found = tls.local_certificate(tmp_path, NAMES)
    assert found.authority is not None
    authority = x509.load_pem_x509_certificate(found.authority.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


def test_the_names_that_are_advertised_are_in_it(tmp_path: Path) -> None:
    config = Config(server=Server(state_dir=str(tmp_path), host="0.0.0.0", advertise=("203.0.113.7",)))
    leaf = x509.load_pem_x509_certificate(tls.certificate(config).cert.read_bytes())
    covered = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(address) for address in covered.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        "::1",
        "203.0.113.7",
    }
    assert "localhost" in covered.get_values_for_type(x509.DNSName)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="the state directory"):
        tls.certificate(Config(server=Server(state_dir=str(tmp_path / "file"))))


def test_a_certificate_of_ones_own_that_cannot_be_used(tmp_path: Path) -> None:
    config = Config(tls=Tls(enabled=True, cert=str(tmp_path / "c"), key=str(tmp_path / "k")))
    with pytest.raises(ConfigError, match="tls: cannot use"):
        tls.server_context(tls.certificate(config))


async def test_a_handshake_that_trusts_the_authority_alone(tmp_path: Path) -> None:
    found = tls.local_certificate(tmp_path, NAMES)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.scheme)

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server_context(found)).start()
    port = runner.addresses[0][1]
    try:
        trusting = ssl.create_default_context(cafile=found.authority)
        async with aiohttp.ClientSession() as http:
            for name in ("127.0.0.1", "localhost"):
                async with http.get(f"https://{name}:{port}/", ssl=trusting) as answer:
                    assert await answer.text() == "https"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.get(f"https://127.0.0.1:{port}/")
    finally:
        await runner.cleanup()
