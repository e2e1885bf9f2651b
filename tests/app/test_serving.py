"""The application as it runs: a process beside the worker, reached through the worker's port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.running import Running, vivavoz

KEY = "a-key-of-ours"


def process_of(service: Running) -> int:
    """The application's process, as the log names it last."""
    found = re.findall(r"the application is process (\d+)", service.log.read_text())
    return int(found[-1])


async def answered(http: aiohttp.ClientSession, url: str) -> dict[str, object]:
    """What ``/api/app`` says once the application answers."""
    async with asyncio.timeout(60):
        while True:
            async with http.get(url + "/api/app") as answer:
                if answer.status == 200:
                    found: dict[str, object] = await answer.json()
                    return found
                assert answer.status == 503
                assert (await answer.json())["error"]["code"] == "application_unavailable"
                assert answer.headers["Retry-After"] == "1"
            await asyncio.sleep(0.05)


async def test_a_token_through_the_services_port_opens_calls_and_no_session_that_can_be_read(
    tmp_path: Path,
) -> None:
    with vivavoz(tmp_path) as service:
        async with aiohttp.ClientSession() as http:
            await answered(http, service.url)
            async with http.get(service.url + "/token") as answer:
                token = await answer.json()
                assert answer.headers["Cache-Control"] == "no-store"
            assert set(token) == {"token", "endpoint", "deployment"}
            headers = {"Authorization": f"Bearer {token['token']}"}
            # Over a WebSocket nothing is filtered.
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(service.url + "/v1/realtime", headers=headers)
            assert refused.value.status == 403
            headers["Content-Type"] = "application/sdp"
            async with http.post(service.url + token["endpoint"], data="v=0", headers=headers) as answer:
                # The token was good; what was offered is not.
                assert (await answer.json())["error"]["code"] == "invalid_offer"
            async with http.get(service.url + "/token", headers={"Sec-Fetch-Site": "cross-site"}) as answer:
                assert answer.status == 403


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_killed_application_comes_back_and_calls_go_on(workers: str, tmp_path: Path) -> None:
    with vivavoz(tmp_path, environment={"VIVAVOZ_WORKERS": workers}) as service:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(service.websocket_url + "/realtime?model=gpt-realtime") as call,
        ):
            await answered(http, service.url)
            first = process_of(service)
            os.kill(first, signal.SIGKILL)
            await answered(http, service.url)
            assert process_of(service) != first
            await call.send_json({"type": "response.create"})
            async with asyncio.timeout(60):
                while (await call.receive_json())["type"] != "response.done":
                    pass
    with pytest.raises(ProcessLookupError):
        os.kill(process_of(service), 0)


async def test_where_a_key_is_configured_strangers_get_no_token(tmp_path: Path) -> None:
    with vivavoz(tmp_path, key=KEY) as service:
        async with aiohttp.ClientSession() as http:
            assert (await answered(http, service.url))["key_required"] is True
            async with http.get(service.url + "/token") as answer:
                assert answer.status == 401
                assert (await answer.json())["error"]["code"] == "key_required"
            async with http.get(service.url + "/token", headers={"Authorization": f"Bearer {KEY}"}) as answer:
                assert (await answer.json())["token"].startswith("ek_")
    assert KEY not in service.log.read_text()


async def test_an_open_page_gives_strangers_tokens_and_nothing_more(tmp_path: Path) -> None:
    with vivavoz(tmp_path, key=KEY, environment={"VIVAVOZ_PAGE": "open"}) as service:
        async with aiohttp.ClientSession() as http:
            about = await answered(http, service.url)
            assert about["user"] == {"name": "anonymous (127.0.0.1)", "operator": False}
            async with http.get(service.url + "/token") as answer:
                assert (await answer.json())["token"].startswith("ek_")
            async with http.get(service.url + "/api/profiles") as answer:
                assert answer.status in (401, 403)


async def test_without_a_page_there_is_no_application(tmp_path: Path) -> None:
    with vivavoz(tmp_path, environment={"VIVAVOZ_PAGE": "off"}) as service:
        async with aiohttp.ClientSession() as http:
            for path in ("/", "/token", "/api/app"):
                async with http.get(service.url + path) as answer:
                    assert answer.status == 404
    assert "the application is process" not in service.log.read_text()


async def test_a_page_for_another_service_may_connect_to_that_service(tmp_path: Path) -> None:
    environment = {
        "VIVAVOZ_APP_UPSTREAM": "azure",
        "VIVAVOZ_APP_RESOURCE": "house",
        "VIVAVOZ_APP_MODEL": "voice",
        "AZURE_OPENAI_API_KEY": KEY,
    }
    with vivavoz(tmp_path, environment=environment) as service:
        async with aiohttp.ClientSession() as http:
            about = await answered(http, service.url)
            assert about["upstream"]["name"] == "azure"  # type: ignore[index]
            async with http.get(service.url + "/") as answer:
                assert answer.status == 200
                policy = answer.headers["Content-Security-Policy"]
                assert "connect-src 'self' https://house.openai.azure.com" in policy
            async with http.get(service.url + "/nothing") as answer:
                assert answer.status == 404
            # The service itself is there as always.
            async with http.ws_connect(service.websocket_url + "/realtime") as call:
                assert (await call.receive_json())["type"] == "session.created"
