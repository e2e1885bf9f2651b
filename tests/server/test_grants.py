"""What a client secret is bound to when it is minted, and what its holder finds out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.fakes import KEY, OFFER, Running, running
from vivavoz.config import Config, Server
from vivavoz.server.store import FileStore, MemoryStore
from vivavoz.wire.grants import Grant

AUTH = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}


async def mint(server: Running, grant: dict[str, Any], session: Any = None, prefix: str = "/v1") -> str:
    body = {"grant": grant, **({"session": session} if session else {})}
    url = f"{server.url}{prefix}/realtime/client_secrets"
    async with server.http.post(url, json=body, headers=AUTH) as answer:
        assert answer.status == 200, await answer.text()
        value: str = (await answer.json())["value"]
        return value


async def offer(server: Running, credential: str, query: str = "", body: Any = OFFER) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {credential}", **(SDP if isinstance(body, str) else {})}
    url = f"{server.url}/v1/realtime/calls{query}"
    async with server.http.post(url, data=body, headers=headers) as answer:
        found = await answer.json() if answer.status >= 400 else await answer.text()
        return answer.status, found["error"] if isinstance(found, dict) else found


def form(**parts: Any) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("sdp", OFFER)
    for name, value in parts.items():
        data.add_field(name, json.dumps(value))
    return data


@pytest.mark.parametrize("query", ["", "?webrtcfilter=off", "?webrtcfilter=on"])
async def test_the_filter_is_the_grants_whatever_the_url_says(query: str) -> None:
    async with running() as server:
        for granted in ("on", "strict"):
            token = await mint(server, {"filter": granted})
            assert (await offer(server, token, query))[0] == 201
            assert server.calls.opened[-1].filtered == granted


async def test_a_holder_may_ask_for_less_than_the_grant() -> None:
    async with running() as server:
        token = await mint(server, {"filter": "on"})
        await offer(server, token, "?webrtcfilter=strict")
        assert server.calls.opened[-1].filtered == "strict"


async def test_a_websocket_is_no_way_round_the_filter() -> None:
    async with running() as server:
        headers = {"Authorization": f"Bearer {await mint(server, {'filter': 'on'})}"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await server.http.ws_connect(server.url + "/v1/realtime", headers=headers)
        assert raised.value.status == 403
        headers = {"Authorization": f"Bearer {await mint(server, {'label': 'free'})}"}
        async with server.http.ws_connect(server.url + "/v1/realtime", headers=headers):
            assert server.calls.opened[-1].grant == Grant(label="free")


async def test_two_browsers_with_one_token() -> None:
    async with running() as server:
        token = await mint(server, {"max_calls": 1})
        status, _ = await offer(server, token)
        assert status == 201
        status, error = await offer(server, token)
        assert (status, error["code"]) == (403, "client_secret_used")
        assert len(server.calls.opened) == 1


async def test_a_call_that_did_not_come_about_does_not_count() -> None:
    async with running() as server:
        token = await mint(server, {"max_calls": 1})
        assert (await offer(server, token, body=OFFER + "broken"))[0] == 400
        server.calls.capacity = 0
        assert (await offer(server, token))[0] == 503
        server.calls.capacity = 10
        assert (await offer(server, token))[0] == 201
        assert (await offer(server, token))[0] == 403


async def test_calls_are_counted_over_all_workers(tmp_path: Path) -> None:
    async with running() as one, running() as other:
        for server in (one, other):
            server.service.tokens._store = FileStore(tmp_path / "store")
        token = await mint(one, {"max_calls": 3})
        statuses = await asyncio.gather(*(offer(server, token) for server in (one, other) * 4))
        assert sorted(status for status, _ in statuses) == [201] * 3 + [403] * 5
        assert len(one.calls.opened) + len(other.calls.opened) == 3


async def test_without_session_update_no_session_is_brought() -> None:
    async with running() as server:
        token = await mint(server, {"client_events": ["response.create"]}, {"type": "realtime"})
        status, error = await offer(
            server, token, body=form(session={"type": "realtime", "instructions": "x"})
        )
        assert (status, error["code"], error["param"]) == (403, "session_not_granted", "session")
        token = await mint(server, {"client_events": ["session.update"]})
        assert (await offer(server, token, body=form(session={"type": "realtime"})))[0] == 201


async def test_tools_are_held_to_the_grant_when_minting_and_when_calling() -> None:
    tools = [{"type": "function", "name": "weather"}]
    async with running() as server:
        url = server.url + "/v1/realtime/client_secrets"
        body = {"session": {"type": "realtime", "tools": tools}, "grant": {"tools": ["time"]}}
        async with server.http.post(url, json=body, headers=AUTH) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["param"]) == (400, "session.tools[0]")
        token = await mint(server, {"tools": ["time"]})
        status, error = await offer(server, token, body=form(session={"type": "realtime", "tools": tools}))
        assert (status, error["code"], error["param"]) == (403, "tool_not_granted", "session.tools[0]")


async def test_with_a_key_the_grant_comes_with_the_offer() -> None:
    async with running() as server:
        status, _ = await offer(server, KEY, body=form(grant={"filter": "strict", "label": "demo"}))
        assert status == 201
        call = server.calls.opened[-1]
        assert (call.filtered, call.grant) == ("strict", Grant(filter="strict", label="demo"))
        status, error = await offer(server, KEY, body=form(grant={"max_calls": 2}))
        assert (status, error["param"]) == (400, "grant.max_calls")
        status, error = await offer(server, KEY, body=form(grant={"filter": "off"}))
        assert (status, error["param"]) == (400, "grant.filter")


async def test_a_token_grants_nothing() -> None:
    async with running() as server:
        token = await mint(server, {"filter": "on"})
        status, error = await offer(server, token, body=form(grant={"filter": None}))
        assert (status, error["code"]) == (403, "api_key_required")


@pytest.mark.parametrize("path", ["/v1/realtime/sessions", "/openai/realtimeapi/sessions"])
async def test_the_beta_binds_too(path: str) -> None:
    async with running() as server:
        body = {"instructions": "Be brief.", "grant": {"filter": "on", "max_calls": 1}}
        async with server.http.post(server.url + path, json=body, headers=AUTH) as answer:
            assert answer.status == 200
            minted = await answer.json()
            assert "grant" not in minted
        headers = {"Authorization": f"Bearer {minted['client_secret']['value']}", **SDP}
        url = server.url + "/v1/realtimertc"
        async with server.http.post(url, data=OFFER, headers=headers) as answer:
            assert answer.status == 201
        assert server.calls.opened[-1].filtered == "on"
        async with server.http.post(url, data=OFFER, headers=headers) as answer:
            assert answer.status == 403


async def test_where_azure_is_imitated_there_are_no_extensions() -> None:
    config = Config(default_engines="scripted", models={"d": {}}, server=Server(strict_azure=True))  # type: ignore[dict-item]
    prefix = "/openai/v1/realtime"
    async with running(config) as server:
        headers = {"api-key": KEY}
        body = {"grant": {"filter": "on"}, "session": {"type": "realtime", "model": "d"}}
        async with server.http.post(
            f"{server.url}{prefix}/client_secrets", json=body, headers=headers
        ) as answer:
            assert (answer.status, (await answer.json())["error"]["param"]) == (400, "grant")
        async with server.http.get(f"{server.url}{prefix}/calls", headers=headers) as answer:
            assert answer.status in (404, 405)
        url = f"{server.url}{prefix}/client_secrets/revoke"
        async with server.http.post(url, json={}, headers=headers) as answer:
            assert answer.status == 404


# ------------------------------------------------------------------------------------- revocation


async def revoke(server: Running, value: str, credential: str = KEY) -> tuple[int, Any]:
    url = server.url + "/v1/realtime/client_secrets/revoke"
    headers = {"Authorization": f"Bearer {credential}"}
    async with server.http.post(url, json={"value": value}, headers=headers) as answer:
        return answer.status, await answer.json() if answer.status != 204 else None


async def test_a_revoked_token_opens_nothing_and_its_call_goes_on() -> None:
    async with running() as server:
        token = await mint(server, {})
        other = await mint(server, {})
        assert (await offer(server, token))[0] == 201
        for _ in range(2):
            assert await revoke(server, token) == (204, None)
        status, error = await offer(server, token)
        assert (status, error["code"]) == (401, "client_secret_revoked")
        assert not server.calls.opened[0].closed.is_set()
        assert (await offer(server, other))[0] == 201


async def test_only_a_key_revokes_and_only_tokens_of_ours() -> None:
    async with running() as server:
        token = await mint(server, {})
        status, answer = await revoke(server, token, credential=token)
        assert (status, answer["error"]["code"]) == (401, "api_key_required")
        for wrong in ("ek_nonsense", token[:-4] + "AAAA", "sk-key", token.removeprefix("ek_")):
            status, answer = await revoke(server, wrong)
            assert (status, answer["error"]["param"]) == (400, "value")
        assert (await offer(server, token))[0] == 201


async def test_a_full_store_says_so() -> None:
    async with running() as server:
        token = await mint(server, {"max_calls": 2})
        server.service.tokens._store = MemoryStore(max_entries=0)
        status, error = await offer(server, token)
        assert (status, error["code"]) == (503, "store_full")
        assert (await revoke(server, token))[0] == 503


# ------------------------------------------------------------------------------------- the list of calls


async def listed(server: Running, query: str = "", credential: str = KEY) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {credential}"}
    async with server.http.get(f"{server.url}/v1/realtime/calls{query}", headers=headers) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
        return answer.status, await answer.json()


async def test_the_list_of_calls() -> None:
    async with running() as server:
        _, empty = await listed(server)
        assert (empty["object"], empty["data"]) == ("list", [])
        await offer(server, await mint(server, {"filter": "strict", "label": "shop"}))
        call = server.calls.opened[0]
        _, page = await listed(server)
        assert page["data"] == [
            {
                "id": call.id,
                "session_id": call.session_id,
                "model": "gpt-realtime",
                "started_at": 1.0,
                "filtered": "strict",
                "transport": "webrtc",
                "grant_label": "shop",
            }
        ]
        assert page["cursor"] != empty["cursor"]


async def test_who_waits_is_told_of_a_change_and_of_none() -> None:
    async with running() as server:
        _, before = await listed(server)
        _, same = await listed(server, f"?cursor={before['cursor']}&wait=0.05")
        assert same == before
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(listed(server, f"?cursor={before['cursor']}&wait=20"))
            await offer(server, KEY)
        _, after = waiting.result()
        assert [entry["id"] for entry in after["data"]] == [server.calls.opened[0].id]
        # What has changed already is not waited for.
        assert (await listed(server, f"?cursor={before['cursor']}&wait=20"))[1] == after


@pytest.mark.parametrize(
    ("query", "param"),
    [("?wait=26", "wait"), ("?wait=-1", "wait"), ("?wait=nan", "wait"), ("?cursor=%00", "cursor")],
)
async def test_what_cannot_be_waited_for(query: str, param: str) -> None:
    async with running() as server:
        status, answer = await listed(server, query)
        assert (status, answer["error"]["param"]) == (400, param)


async def test_a_token_lists_nothing() -> None:
    async with running() as server:
        status, answer = await listed(server, credential=await mint(server, {}))
        assert (status, answer["error"]["code"]) == (401, "api_key_required")
