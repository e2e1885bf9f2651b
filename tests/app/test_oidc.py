"""Logging in at an OpenID provider, and everything that must not log anybody in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace

from tests.app.rig import StandIn, listening
from tests.server.entra_tokens import ec_key, jwk, rsa_key
from vivavoz.app.config import Access, App
from vivavoz.app.errors import SetupError
from vivavoz.app.plan import Plan
from vivavoz.app.service import build, build_app

SECRET = "the-secret-of-the-client"
CLIENT = "vivavoz-console"


class TheProvider:
    """It says yes to everybody; ``claims`` and ``sign`` say how its id tokens are."""

    def __init__(self) -> None:
        self.url = ""
        self.claims: dict[str, Any] = {}
        self.sign: dict[str, Any] = {}
        self.token_status = 200
        self.issuer: str | None = None
        self.keys = [jwk(rsa_key(), "one"), jwk(ec_key(), "two")]
        self.asked: list[dict[str, str]] = []
        self.nonce = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._metadata)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._keys)
        return app

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer or self.url,
                "authorization_endpoint": self.url + "/authorize",
                "token_endpoint": self.url + "/token",
                "jwks_uri": self.url + "/keys",
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": self.keys})

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "12345",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "ann@example.com",
            "email_verified": True,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        signing = {"key": rsa_key(), "algorithm": "RS256", "headers": {"kid": "one"}, **self.sign}
        body = {"id_token": jwt.encode(claims, **signing), "access_token": "at", "token_type": "Bearer"}
        return web.json_response(body, status=self.token_status)


class Setting(NamedTuple):
    provider: TheProvider
    url: str
    http: aiohttp.ClientSession

    async def begin(self, path: str = "/login/start") -> dict[str, str]:
        """What the browser is sent to the provider with."""
        async with self.http.get(self.url + path, allow_redirects=False) as answer:
            assert answer.status == 302
            location = urlsplit(answer.headers["Location"])
        query = {name: values[0] for name, values in parse_qs(location.query).items()}
        assert f"{location.scheme}://{location.netloc}" == self.provider.url
        self.provider.nonce = query["nonce"]
        return query

    async def come_back(self, **query: str) -> tuple[int, str, str]:
        """Status, where to, and the error's code."""
        async with self.http.get(f"{self.url}/login/callback", params=query, allow_redirects=False) as answer:
            location = answer.headers.get("Location", "")
            return answer.status, location, "" if location else (await answer.json())["error"]["code"]

    async def log_in(self) -> tuple[int, str, str]:
        query = await self.begin()
        return await self.come_back(state=query["state"], code="the-code")

    async def who(self) -> Any:
        async with self.http.get(f"{self.url}/api/app") as answer:
            return (await answer.json())["user"]


def configured(issuer: str, service: str, **access: Any) -> App:
    return App(
        endpoint=service,
        access=Access(
            login="oidc",
            public_url="http://app.localhost",
            oidc_issuer=issuer,
            oidc_client_id=CLIENT,
            operators=("ann@example.com",),
            **access,
        ),
    )


@contextlib.asynccontextmanager
async def setting(folder: Path, **access: Any) -> AsyncIterator[Setting]:
    provider, stand_in = TheProvider(), StandIn()
    async with listening(provider.app()) as provider.url, listening(stand_in.app()) as service:
        plan = Plan(app=configured(provider.url, service, **access), state_dir=str(folder))
        application = build(plan, {"VIVAVOZ_APP_OIDC_SECRET": SECRET})
        async with (
            listening(build_app(application)) as url,
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        ):
            yield Setting(provider, url, http)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Setting]:
    async with setting(tmp_path) as found:
        yield found


async def test_a_user_logs_in_talks_and_logs_out(here: Setting) -> None:
    async with here.http.get(f"{here.url}/token") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "login_required")
    async with here.http.get(f"{here.url}/api/app") as answer:
        assert (await answer.json())["login"] == "/login/start"
    query = await here.begin("/login/start?next=/calls%23now")
    assert query["redirect_uri"] == "http://app.localhost/login/callback"
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert await here.come_back(state=query["state"], code="the-code") == (302, "/calls#now", "")
    (asked,) = here.provider.asked
    assert (asked["code"], asked["client_secret"]) == ("the-code", SECRET)
    assert len(asked["code_verifier"]) >= 43
    assert await here.who() == {"name": "ann@example.com", "operator": True}
    async with here.http.get(f"{here.url}/token") as answer:
        assert answer.status == 200
    # No other page ends it.
    async with here.http.post(f"{here.url}/login/end", headers={"Origin": "https://evil.example"}) as answer:
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    async with here.http.post(f"{here.url}/login/end") as answer:
        assert answer.status == 204
    assert await here.who() is None


async def test_cookies_are_for_this_server_alone(here: Setting) -> None:
    query = await here.begin()
    async with here.http.get(
        f"{here.url}/login/callback", params={"state": query["state"], "code": "c"}, allow_redirects=False
    ) as answer:
        cookie = answer.headers.getall("Set-Cookie")[0]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "ann" not in cookie


SIGNED_BY_ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
BAD_TOKENS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another's nonce": ({"nonce": "another"}, {}),
    "no nonce": ({"nonce": None}, {}),
    "another audience": ({"aud": "somebody-else"}, {}),
    "another audience too": ({"aud": [CLIENT, "somebody-else"]}, {}),
    "another issuer": ({"iss": "https://evil.example"}, {}),
    "expired": ({"exp": 1_000_000_000}, {}),
    "no expiry": ({"exp": None}, {}),
    "from the future": ({"iat": 4_000_000_000, "nbf": 4_000_000_000}, {}),
    "no subject": ({"sub": None}, {}),
    "another's signature": ({}, {"key": SIGNED_BY_ANOTHER}),
    "no signature": ({}, {"key": None, "algorithm": "none"}),
    "a shared key": ({}, {"key": "x" * 40, "algorithm": "HS256"}),
    "an unknown key": ({}, {"headers": {"kid": "three"}}),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_an_id_token_that_is_not_right_logs_nobody_in(
    name: str, here: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    here.provider.claims, here.provider.sign = BAD_TOKENS[name]
    assert await here.log_in() == (502, "", "login_provider_failed")
    assert await here.who() is None
    assert SECRET not in caplog.text


async def test_an_elliptic_key_will_do(here: Setting) -> None:
    here.provider.sign = {"key": ec_key(), "algorithm": "ES256", "headers": {"kid": "two"}}
    assert (await here.log_in())[0] == 302


async def test_who_has_no_name_or_no_verified_address_stays_out(here: Setting) -> None:
    here.provider.claims = {"email": None}
    assert await here.log_in() == (403, "", "login_nameless")
    here.provider.claims = {"email_verified": False}
    assert await here.log_in() == (403, "", "login_unverified")
    assert await here.who() is None


async def test_what_was_not_begun_here_is_not_ended_here(here: Setting) -> None:
    assert await here.come_back(state="x", code="y") == (403, "", "login_stale")
    query = await here.begin()
    assert await here.come_back(state="another", code="y") == (403, "", "login_stale")
    assert await here.come_back(state=query["state"], error="access_denied") == (403, "", "login_refused")
    assert here.provider.asked == []


async def test_a_cookie_that_was_changed_is_nobody(here: Setting) -> None:
    assert (await here.log_in())[0] == 302
    cookies = {cookie.key: cookie.value for cookie in here.http.cookie_jar}
    good = cookies["vivavoz_session"]
    for changed in (good[:-2], good[:20] + "AAAA" + good[24:], "", "x" * 5000, "é"):
        here.http.cookie_jar.clear()
        here.http.cookie_jar.update_cookies({"vivavoz_session": changed})
        assert await here.who() is None
    here.http.cookie_jar.update_cookies({"vivavoz_session": good})
    assert (await here.who())["name"] == "ann@example.com"


async def test_a_login_ends_after_some_hours(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await here.log_in())[0] == 302
    cookies = {cookie.key: cookie.value for cookie in here.http.cookie_jar}
    then = time.time() + 8 * 3600 + 5
    monkeypatch.setattr("time.time", lambda: then)
    async with here.http.get(f"{here.url}/api/app", cookies=cookies) as answer:
        assert (await answer.json())["user"] is None


@pytest.mark.parametrize(
    "path", ["//evil.example/", "https://evil.example", "/\\evil.example", "evil", "/a\nb"]
)
async def test_nobody_is_sent_elsewhere(path: str, here: Setting) -> None:
    async with here.http.get(
        f"{here.url}/login/start", params={"next": path}, allow_redirects=False
    ) as answer:
        location = parse_qs(urlsplit(answer.headers["Location"]).query)
    here.provider.nonce = location["nonce"][0]
    assert await here.come_back(state=location["state"][0], code="c") == (302, "/", "")


async def test_a_provider_that_fails(here: Setting) -> None:
    here.provider.token_status = 400
    assert await here.log_in() == (502, "", "login_provider_failed")


async def test_a_provider_that_says_it_is_another(here: Setting) -> None:
    here.provider.issuer = "https://another.example"
    async with here.http.get(f"{here.url}/login/start", allow_redirects=False) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "login_provider_failed")


async def test_keys_that_are_new_are_fetched(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await here.log_in())[0] == 302
    here.provider.keys = [jwk(rsa_key(2048, 3), "three")]
    here.provider.sign = {"key": rsa_key(2048, 3), "headers": {"kid": "three"}}
    assert (await here.log_in())[0] == 502
    monkeypatch.setattr("vivavoz.app.access.provider._ASK_AGAIN_S", -1.0)
    assert (await here.log_in())[0] == 302


@pytest.mark.parametrize("missing", ["public_url", "oidc_issuer", "oidc_client_id"])
async def test_what_it_needs_is_named(missing: str, tmp_path: Path) -> None:
    app = configured("https://login.example.com", "http://127.0.0.1:1")
    app = replace(app, access=replace(app.access, **{missing: None}))
    with pytest.raises(SetupError, match=missing):
        build(Plan(app=app, state_dir=str(tmp_path)), {})


async def test_a_provider_is_asked_over_tls(tmp_path: Path) -> None:
    app = configured("http://login.example.com", "http://127.0.0.1:1")
    with pytest.raises(SetupError, match="oidc_issuer"):
        build(Plan(app=app, state_dir=str(tmp_path)), {})
