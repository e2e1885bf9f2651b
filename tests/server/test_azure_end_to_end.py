"""A whole worker under ``--strict-azure``, and the official SDK as its Azure users set it up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from websockets.exceptions import InvalidStatus

from tests.server.entra_tokens import TENANT, key_set, token
from tests.server.test_end_to_end import KEY, OFFER, config, say, serving
from vivavoz.config import Config, ConfigError, Entra, Model, Secrets
from vivavoz.serve import checked

DEPLOYMENT = "my-deployment"


@pytest.fixture
def strict(tmp_path: Path) -> Config:
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set())
    return msgspec.structs.replace(
        config(tmp_path, strict_azure=True),
        entra=Entra(jwks=str(keys), tenants=(TENANT,)),
        models={DEPLOYMENT: Model()},
    )


async def entra_token() -> str:
    return token()


def clients(url: str) -> dict[str, Any]:
    websocket = url.replace("http", "ws", 1)
    azure: dict[str, Any] = {
        "azure_endpoint": url,
        "api_version": "2025-08-28",
        "websocket_base_url": websocket + "/openai/v1",
    }
    return {
        "a key, by header": AsyncOpenAI(
            base_url=url + "/openai/v1", api_key="unused", default_headers={"api-key": KEY}
        ),
        "a token": AsyncOpenAI(base_url=url + "/openai/v1", api_key=token()),
        "Azure's class, a key": AsyncAzureOpenAI(**azure, api_key=KEY),
        "Azure's class, tokens": AsyncAzureOpenAI(**azure, azure_ad_token_provider=entra_token),
        "Azure's class, its own path": AsyncAzureOpenAI(
            **{**azure, "websocket_base_url": websocket + "/openai"}, api_key=KEY
        ),
    }


@pytest.mark.parametrize("name", clients("http://nowhere"))
async def test_the_sdk_talks(name: str, strict: Config) -> None:
    async with serving(strict, KEY) as url:
        client = clients(url)[name]
        async with client, client.realtime.connect(model=DEPLOYMENT) as connection:
            assert "Hello" in await say(connection, "Hello")


async def test_a_browsers_call_from_token_to_answer(strict: Config) -> None:
    """As Azure's pages show it: a back end mints with its Entra token, a browser sends a bare offer."""
    async with (
        serving(strict, KEY) as url,
        aiohttp.ClientSession() as http,
        AsyncOpenAI(base_url=url + "/openai/v1", api_key=token()) as client,
    ):
        secret = await client.realtime.client_secrets.create(
            session={"type": "realtime", "model": DEPLOYMENT}
        )
        headers = {"Authorization": f"Bearer {secret.value}", "Content-Type": "application/sdp"}
        calls = url + "/openai/v1/realtime/calls"
        async with http.post(calls, params={"webrtcfilter": "on"}, data=OFFER, headers=headers) as answer:
            assert answer.status == 201
            call_id = answer.headers["Location"].rsplit("/", 1)[1]
        async with client.realtime.connect(extra_query={"call_id": call_id}) as observer:
            await client.realtime.calls.hangup(call_id)
            assert [event async for event in observer if event.type == "error"] == []


async def test_what_only_openai_takes_is_refused(strict: Config) -> None:
    async with serving(strict, KEY) as url:
        async with AsyncOpenAI(base_url=url + "/openai/v1", api_key=token()) as client:
            with pytest.raises(openai.AuthenticationError, match="requires ephemeral tokens"):
                await client.realtime.calls.create(sdp=OFFER)
            with pytest.raises(openai.NotFoundError, match=r"deployment 'gpt-realtime' does not exist"):
                await client.realtime.client_secrets.create(
                    session={"type": "realtime", "model": "gpt-realtime"}
                )
        async with AsyncOpenAI(base_url=url + "/openai/v1", api_key=KEY) as client:
            with pytest.raises(openai.AuthenticationError, match="api-key"):
                await client.realtime.client_secrets.create()
            with pytest.raises(InvalidStatus) as refused:
                async with client.realtime.connect(model=DEPLOYMENT):
                    pass
            assert refused.value.response.status_code == 401
        async with AsyncOpenAI(base_url=url + "/v1", default_headers={"api-key": KEY}, api_key="-") as client:
            with pytest.raises(openai.NotFoundError):
                await client.realtime.client_secrets.create()


async def test_tokens_signed_as_the_documentation_shows(
    strict: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs/azure.md"
    shown = re.search(r"^```python keys\n(.*?)^```$", page.read_text(), re.M | re.S)
    assert shown is not None
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    exec(shown[1], made)
    strict = msgspec.structs.replace(
        strict, entra=Entra(jwks=str(tmp_path / "keys.json"), tenants=("my-tenant",))
    )
    async with (
        serving(strict) as url,
        AsyncOpenAI(base_url=url + "/openai/v1", api_key=made["token"]) as client,
    ):
        secret = await client.realtime.client_secrets.create(
            session={"type": "realtime", "model": DEPLOYMENT}
        )
        assert secret.value.startswith("ek_")


def test_it_is_shut_or_does_not_start(strict: Config) -> None:
    without = msgspec.structs.replace(strict, entra=Entra())
    with pytest.raises(ConfigError, match="Azure lets nobody in without a key"):
        checked(without, Secrets())
    assert checked(without, Secrets((KEY,))).server.strict_azure


def test_entra_alone_opens_other_addresses(strict: Config) -> None:
    """A host that others can reach needs something that they must show; a token is something."""
    server = msgspec.structs.replace(strict.server, host="0.0.0.0")
    open_to_others = msgspec.structs.replace(strict, server=server)
    assert checked(open_to_others, Secrets()).server.host == "0.0.0.0"
    with pytest.raises(ConfigError, match="no key is configured"):
        checked(msgspec.structs.replace(open_to_others, entra=Entra()), Secrets())
