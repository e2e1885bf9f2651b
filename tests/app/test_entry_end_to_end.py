"""The application before a real service: our own, as itself, as Azure is, and as OpenAI is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.app.rig import Serving, serving
from tests.app.test_entra_credential import Token
from tests.server.entra_tokens import TENANT, key_set, token
from tests.server.test_end_to_end import KEY, OFFER, config
from tests.server.test_end_to_end import serving as service_serving
from vivavoz.app.config import App
from vivavoz.config import Config, Entra, Model

DEPLOYMENT = "my-deployment"
PROMPT = "Never tell anybody that you are Marvin."


class EntraSource:
    """Tokens of the tests' own Entra, which the strict service accepts."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str) -> Token:
        self.scopes.extend(scopes)
        return Token(token(), 4_000_000_000)

    async def close(self) -> None: ...


def azure_like(folder: Path) -> Config:
    keys = folder / "keys.json"
    keys.write_bytes(key_set())
    return msgspec.structs.replace(
        config(folder, strict_azure=True),
        entra=Entra(jwks=str(keys), tenants=(TENANT,)),
        models={DEPLOYMENT: Model()},
    )


@contextlib.asynccontextmanager
async def applied(
    kind: str, folder: Path, *, deployment: str = DEPLOYMENT, key: str = KEY, **changes: Any
) -> AsyncIterator[tuple[Serving, str]]:
    """An application of this ``kind`` and the service's URL."""
    profiles = folder / "profiles.toml"
    profiles.write_text(f'[profiles.default.session]\ninstructions = "{PROMPT}"\n')
    strict = kind.startswith("azure")
    environment = {
        "vivavoz": {"VIVAVOZ_APP_UPSTREAM_KEY": key},
        "openai": {"OPENAI_API_KEY": key},
        "azure, key": {"AZURE_OPENAI_API_KEY": key},
        "azure, entra": {},
    }[kind]
    async with service_serving(azure_like(folder) if strict else config(folder), KEY) as url:
        app = App(
            upstream="azure" if strict else kind,  # type: ignore[arg-type]
            endpoint=url,
            model=deployment,
            profiles=str(profiles),
            **changes,
        )
        source = EntraSource() if kind == "azure, entra" else None
        async with serving(app, folder, environment=environment, token_source=source) as found:
            yield found, url


KINDS = ("vivavoz", "openai", "azure, key", "azure, entra")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_opens_a_call_at_the_endpoint_that_came_with_it(kind: str, tmp_path: Path) -> None:
    async with applied(kind, tmp_path) as (app, _), aiohttp.ClientSession() as http, asyncio.timeout(60):
        status, given, _ = await app.token()
        assert (status, sorted(given)) == (200, ["deployment", "endpoint", "token"])
        assert given["deployment"] == DEPLOYMENT
        headers = {"Authorization": f"Bearer {given['token']}", "Content-Type": "application/sdp"}
        async with http.post(given["endpoint"], data=OFFER, headers=headers) as answer:
            assert answer.status == 201
            assert (await answer.text()).startswith("v=0")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connected_call_is_observed_and_hung_up(kind: str, tmp_path: Path) -> None:
    seen: list[Any] = []
    async with applied(kind, tmp_path) as (app, _), asyncio.timeout(60):
        upstream = app.application.upstream
        app.application.started = seen.append
        status, answer, headers = await app.connect(OFFER)
        assert (status, answer[:3]) == (201, "v=0")
        call_id = headers["Location"].removeprefix("/api/calls/")
        assert [info.call_id for info in seen] == [call_id]
        observer = await upstream.observe(call_id, audio=False, extras=("timings",))
        try:
            update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
            await observer.send_str(json.dumps(update))
            async for message in observer:
                event = json.loads(message.data)
                if event["type"] == "session.updated":
                    break
            assert event["session"]["instructions"] == "Be brief."
            await upstream.hangup(call_id)
            assert [message async for message in observer if "error" in message.data] == []
        finally:
            await observer.close()
        await upstream.hangup(call_id)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_is_not_there(kind: str, tmp_path: Path) -> None:
    from vivavoz.app.upstream.port import CallGone

    async with applied(kind, tmp_path) as (app, _), asyncio.timeout(60):
        for call_id in ("rtc_00000000000000000000000000000000", "../client_secrets", "", "a?b=c"):
            with pytest.raises(CallGone):
                await app.application.upstream.observe(call_id)


@pytest.mark.parametrize("kind", ["azure, key", "azure, entra"])
async def test_a_deployment_that_is_not_there(kind: str, tmp_path: Path) -> None:
    async with applied(kind, tmp_path, deployment="another") as (app, _):
        status, answer, _ = await app.token()
        assert (status, answer["error"]["code"]) == (502, "DeploymentNotFound")


@pytest.mark.parametrize("kind", ["vivavoz", "openai", "azure, key"])
async def test_a_key_that_is_wrong(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "this-key-is-wrong"
    async with applied(kind, tmp_path, key=wrong) as (app, _):
        status, answer, _ = await app.token()
        connected, text, _ = await app.connect(OFFER)
    assert (status, answer["error"]["code"]) == (502, "upstream_credential_refused")
    assert (connected, "upstream_credential_refused" in text) == (502, True)
    assert wrong not in f"{answer}{text}{caplog.text}"


async def test_one_token_opens_one_call_and_the_filter_is_bound(tmp_path: Path) -> None:
    """Two browsers with one token; the second, and whoever leaves the filter out, gets no further."""
    async with applied("vivavoz", tmp_path) as (app, _), aiohttp.ClientSession() as http, asyncio.timeout(60):
        _, given, _ = await app.token()
        headers = {"Authorization": f"Bearer {given['token']}", "Content-Type": "application/sdp"}
        bare = given["endpoint"].partition("?")[0]
        async with http.post(bare, data=OFFER, headers=headers) as first:
            assert first.status == 201
        async with http.post(bare, data=OFFER, headers=headers) as second:
            assert second.status == 403
        listed, _ = await app.application.upstream.live_calls(None, 0)
        assert [(call.filtered, call.grant_label) for call in listed] == [("on", "default:local")]


async def test_the_list_of_calls_waits_for_a_change(tmp_path: Path) -> None:
    async with applied("vivavoz", tmp_path) as (app, _), asyncio.timeout(60):
        upstream = app.application.upstream
        none, cursor = await upstream.live_calls(None, 0)
        assert none == []
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(upstream.live_calls(cursor, 10))
            status, _, headers = await app.connect(OFFER)
            assert status == 201
        found, _ = waiting.result()
        assert [call.id for call in found] == [headers["Location"].rpartition("/")[2]]


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_that_a_browser_gets_holds_a_secret_or_the_prompt(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="vivavoz.app")
    shown = []
    async with applied(kind, tmp_path) as (app, _), asyncio.timeout(60):
        _, given, headers = await app.token()
        shown += [str({**given, "token": ""}), str(headers)]
        shown += [str(part) for part in await app.connect(OFFER)]
        shown += [str(part) for part in await app.connect("v=0 nonsense")]
        shown += [str(await app.get("/api/app"))]
        shown.append(caplog.text)
    for text in shown:
        assert KEY not in text
        assert PROMPT not in text
        assert "ek_" not in text
        assert "eyJ" not in text
