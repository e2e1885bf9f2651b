"""Entra tokens: which are let in, which rule refuses the others, and where the keys come from."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.server.entra_tokens import AUDIENCE, TENANT, FromNow, claims, ec_key, jwk, key_set, rsa_key, token
from tests.server.fakes import KEY, running
from vivavoz.config import Config, ConfigError, Entra
from vivavoz.server.entra import EntraError, EntraTokens
from vivavoz.server.jwks import MAX_BYTES, RETRY_S, KeySet, KeysUnavailable, parse, url_reader

SECRETS = "/openai/v1/realtime/client_secrets"


def checking(document: bytes | None = None, **options: Any) -> EntraTokens:
    async def read() -> bytes:
        return key_set() if document is None else document

    return EntraTokens(Entra(jwks="keys", tenants=(TENANT,), **options), KeySet(read))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": "https://ai.azure.com"},
        {"aud": AUDIENCE + "/"},
        {"aud": AUDIENCE + "/.default"},
        {"aud": "https://ai.azure.com/.default"},
        {"aud": ["https://elsewhere.example", AUDIENCE]},
        {"iss": f"https://login.microsoftonline.com/{TENANT}/v2.0", "ver": "2.0"},
        {"tid": None},
        {"exp": FromNow(-5)},
        {"nbf": FromNow(5)},
    ],
)
async def test_good_tokens_are_let_in(changes: dict[str, Any]) -> None:
    await checking().check(token(**changes))


async def test_elliptic_keys_sign_too() -> None:
    await checking().check(token(ec_key(), "ES256", {"kid": "two"}))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": FromNow(-60)}, "expired (exp)"),
    "not valid yet": ({"nbf": FromNow(60)}, "not valid yet (nbf"),
    "no expiry": ({"exp": None}, "lacks the claim 'exp'"),
    "no audience": ({"aud": None}, "lacks the claim 'aud'"),
    "for somebody else": ({"aud": "https://graph.microsoft.com"}, "audience (aud)"),
    "an audience that only begins alike": ({"aud": AUDIENCE + ".evil.example"}, "audience (aud)"),
    "an audience of no text": ({"aud": [5, None]}, "audience (aud)"),
    "another issuer": ({"iss": "https://sts.windows.net/other/"}, "issuer (iss)"),
    "another tenant": ({"tid": "other"}, "tenant (tid)"),
    "another key's id": ({"headers": {"kid": "three"}}, "(kid) is not among"),
    "no key id": ({"headers": {}}, "which key signed it (kid)"),
    "another key": ({"key": rsa_key(number=2)}, "signature is wrong"),
    "signed as the other key would": (
        {"key": ec_key(), "algorithm": "ES256", "headers": {"kid": "one"}},
        "(alg) is not that of its key",
    ),
    "another algorithm": ({"algorithm": "RS512"}, "(alg) is none of ES256, RS256"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_others_are_refused_by_the_rule_that_failed(name: str) -> None:
    changes, says = REFUSED[name]
    with pytest.raises(EntraError) as refused:
        await checking().check(token(**changes))
    assert says in refused.value.message


async def test_no_signature_is_no_signature() -> None:
    unsigned = jwt.encode(claims(), None, algorithm="none", headers={"kid": "one"})
    with pytest.raises(EntraError, match="algorithm"):
        await checking().check(unsigned)


async def test_the_public_key_is_not_taken_for_a_password() -> None:
    """The classic confusion: HS256 with the public key, which everybody has, as the secret."""
    public = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [{"alg": "HS256", "kid": "one", "typ": "JWT"}, claims()]
    body = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    forged = jwt.get_algorithm_by_name("HS256").sign(body, b"x" * 8 + public.replace(b"-----", b""))
    text = (body + b"." + base64.urlsafe_b64encode(forged).rstrip(b"=")).decode()
    with pytest.raises(EntraError, match="algorithm"):
        await checking().check(text)


async def test_a_list_of_people_and_programs_narrows_it() -> None:
    await checking(principals=("1111-PROGRAM",)).check(token())
    await checking(principals=("0000-person",)).check(token())
    with pytest.raises(EntraError, match="oid, appid, azp"):
        await checking(principals=("somebody else",)).check(token())


@given(st.text(max_size=200).map(lambda text: f"eyJ{text}.{text}.{text}") | st.text(max_size=50))
async def test_garbage_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(EntraError):
        await checking().check(text)


async def test_deeply_nested_garbage_is_refused() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 9000).decode().rstrip("=")
    with pytest.raises(EntraError):
        await checking().check(f"{header}.e30.e30")


# ------------------------------------------------------------------------------------------- requests


async def ask(url: str, http: aiohttp.ClientSession, headers: dict[str, str]) -> tuple[int, str]:
    async with http.post(url + SECRETS, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_good_token_is_as_good_as_the_key() -> None:
    bearer = {"Authorization": f"Bearer {token()}"}
    async with running(entra=checking()) as server:
        assert (await ask(server.url, server.http, bearer))[0] == 200
        assert (await ask(server.url, server.http, {"Authorization": f"Bearer {KEY}"}))[0] == 200
        url = server.url + "/openai/v1/realtime"
        async with server.http.ws_connect(url, params={"model": "mine"}, headers=bearer):
            pass


async def test_a_refusal_names_the_rule_and_not_the_token() -> None:
    bad = token(aud="https://secret-resource.example")
    async with running(entra=checking()) as server:
        status, text = await ask(server.url, server.http, {"Authorization": f"Bearer {bad}"})
        assert status == 401
        assert "audience (aud)" in text
        assert bad.split(".")[1][:20] not in text
        assert "secret-resource" not in text


async def test_with_entra_alone_nobody_is_let_in_without_a_token() -> None:
    async with running(entra=checking(), keys=()) as server:
        for headers in ({}, {"api-key": "anything"}, {"Authorization": "Bearer anything"}):
            assert (await ask(server.url, server.http, headers))[0] == 401
        assert (await ask(server.url, server.http, {"Authorization": f"Bearer {token()}"}))[0] == 200


async def test_a_token_where_none_is_configured_is_told_so() -> None:
    async with running() as server:
        status, text = await ask(server.url, server.http, {"Authorization": f"Bearer {token()}"})
        assert status == 401
        assert "[entra]" in text


async def test_keys_that_cannot_be_read_are_our_fault() -> None:
    async def read() -> bytes:
        raise OSError("no route to host")

    entra = EntraTokens(Entra(jwks="keys", tenants=(TENANT,)), KeySet(read))
    async with running(entra=entra) as server:
        headers = {"Authorization": f"Bearer {token()}"}
        async with server.http.post(server.url + SECRETS, headers=headers) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == str(int(RETRY_S))
            assert "route" not in await answer.text()


# ------------------------------------------------------------------------------------------- keys


class Source:
    """A key set whose content and clock a test sets."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.document: bytes | None = key_set(*keys)
        self.reads = 0
        self.now = 1000.0

    async def read(self) -> bytes:
        self.reads += 1
        if self.document is None:
            raise OSError("gone")
        return self.document

    def open(self) -> KeySet:
        return KeySet(self.read, clock=lambda: self.now)


async def test_a_new_key_is_found_and_inventions_cost_nothing() -> None:
    source = Source(jwk(rsa_key(), "one"))
    keys = source.open()
    assert await keys.find("one") is not None
    source.document = key_set(jwk(rsa_key(), "one"), jwk(ec_key(), "new"))
    for number in range(100):
        assert await keys.find(f"invented {number}") is None
    assert source.reads == 1
    source.now += RETRY_S
    assert await keys.find("new") is not None
    assert source.reads == 2


async def test_old_keys_serve_while_new_ones_cannot_be_had() -> None:
    source = Source()
    keys = source.open()
    await keys.find("one")
    source.document, source.now = None, source.now + 7200
    assert await keys.find("one") is not None
    assert await keys.find("one") is not None
    assert source.reads == 2
    source.document, source.now = key_set(jwk(ec_key(), "two")), source.now + RETRY_S
    assert await keys.find("one") is None


async def test_those_who_come_while_it_is_read_wait_for_it() -> None:
    source, gate = Source(), asyncio.Event()

    async def slowly() -> bytes:
        await gate.wait()
        return await source.read()

    keys = KeySet(slowly)
    async with asyncio.TaskGroup() as group:
        found = [group.create_task(keys.find("one")) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
    assert all(task.result() is not None for task in found)
    assert source.reads == 1


async def test_without_any_key_set_it_says_why() -> None:
    source = Source()
    source.document = b"<html>"
    with pytest.raises(KeysUnavailable, match="not a JSON Web Key Set"):
        await source.open().find("one")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"{}", "not a JSON Web Key Set"),
        (b'{"keys": 1}', "not a list"),
        (b'{"keys": []}', "no key of use"),
        (b'{"keys": [1, {"kid": 5}, {"kid": "a", "kty": "RSA"}]}', "no key of use"),
        (b"[" * 100_000, "not a JSON Web Key Set"),
        (key_set(jwk(rsa_key(1024), "short")), "no key of use"),
        (key_set({"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}), "no key of use"),
        (key_set(jwk(rsa_key(), "other", use="enc")), "no key of use"),
        (key_set(jwk(rsa_key(), "other", alg="RS512")), "no key of use"),
    ],
)
def test_documents_without_usable_keys_are_refused(document: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(document)


@pytest.fixture
async def website() -> Any:
    """Serves what the test puts in: ``site["answer"]``."""
    app = web.Application()
    site: dict[str, Any] = {"answer": web.Response(body=key_set())}

    async def keys(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = site["answer"]
        return answer

    app.router.add_get("/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    site["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    yield site
    await runner.cleanup()


async def test_keys_come_from_a_url(website: dict[str, Any]) -> None:
    assert await KeySet(url_reader(website["url"])).find("two") is not None


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=404),
        web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
        web.Response(body=b" " * (MAX_BYTES + 1)),
    ],
    ids=["not there", "elsewhere", "endless"],
)
async def test_a_url_that_gives_no_keys_is_left_alone(website: dict[str, Any], answer: web.Response) -> None:
    website["answer"] = answer
    with pytest.raises(KeysUnavailable):
        await KeySet(url_reader(website["url"])).find("one")


def test_a_file_is_read_when_the_service_starts(tmp_path: Path) -> None:
    def configured(source: str) -> Config:
        return Config(entra=Entra(jwks=source, tenants=(TENANT,)))

    good = tmp_path / "keys.json"
    good.write_bytes(key_set())
    assert EntraTokens.from_config(configured(str(good))) is not None
    assert EntraTokens.from_config(configured("https://login.example/keys")) is not None
    assert EntraTokens.from_config(Config()) is None
    (tmp_path / "bad.json").write_bytes(b"{}")
    for name in ("bad.json", "missing.json"):
        with pytest.raises(ConfigError, match=r"entra\.jwks"):
            EntraTokens.from_config(configured(str(tmp_path / name)))


async def test_who_a_token_is_for_is_told_apart() -> None:
    persons = [await checking().check(token(oid=oid)) for oid in ("0000-ONE", "0000-one", "0000-two")]
    assert persons == ["0000-one", "0000-one", "0000-two"]
