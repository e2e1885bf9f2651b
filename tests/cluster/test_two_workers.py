"""Two whole workers with scripted engines: what our extensions promise holds whichever of them is asked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.server.test_end_to_end import OFFER, config
from vivavoz import worker
from vivavoz.assembly import Plan
from vivavoz.config import Secrets
from vivavoz.wire.extensions import read_sound_frame

KEY = "a-key-of-ours"
AUTH = {"Authorization": f"Bearer {KEY}"}


@contextlib.asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Their base URLs."""
    sockets = {tag: str(folder / f"{tag}.sock") for tag in ("00", "01")}
    loop = asyncio.get_running_loop()
    ports: list[asyncio.Future[int]] = [loop.create_future() for _ in sockets]
    ending = worker.Ending()
    async with asyncio.TaskGroup() as group:
        for tag, port in zip(sockets, ports, strict=True):
            plan = Plan(config=config(folder), tag=tag, sockets=sockets)
            group.create_task(worker.run(plan, Secrets((KEY,)), ending, port.set_result))
        one, other = await asyncio.gather(*ports)
        yield f"http://127.0.0.1:{one}", f"http://127.0.0.1:{other}"
        ending.ask()


async def turn(client: aiohttp.ClientWebSocketResponse, text: str) -> list[dict[str, Any]]:
    """A text turn; the events until its response is done."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await client.send_json({"type": "conversation.item.create", "item": item})
    await client.send_json({"type": "response.create"})
    return await until(client, "response.done")


async def until(client: aiohttp.ClientWebSocketResponse, type: str) -> list[dict[str, Any]]:
    got = []
    while not got or got[-1]["type"] != type:
        message = await client.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            continue
        assert message.type is aiohttp.WSMsgType.TEXT, message
        got.append(json.loads(message.data))
    return got


async def test_an_observer_at_the_other_worker(tmp_path: Path) -> None:
    async with (
        two(tmp_path) as (one, other),
        aiohttp.ClientSession(headers=AUTH) as http,
        asyncio.timeout(60),
    ):
        client = await http.ws_connect(one + "/v1/realtime")
        said = await turn(client, "hello")
        async with http.get(other + "/v1/realtime/calls") as answer:
            (entry,) = (await answer.json())["data"]
        asked = "&after=start&audio=both&role=listen&extras=participants"
        observer = await http.ws_connect(f"{other}/v1/realtime?call_id={entry['id']}{asked}")
        past = await until(observer, "vivavoz.replayed")
        assert past[-1]["complete"] is True
        told = [event for event in said if event["type"] != "response.output_audio.delta"]
        assert past[:-1] == told
        assert (await until(observer, "vivavoz.participant.joined"))[-1]["role"] == "client"
        chunk = bytes(range(256)) * 375
        await client.send_json(
            {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk).decode()}
        )
        heard = b""
        while len(heard) < len(chunk):
            message = await observer.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                track, _, pcm = read_sound_frame(message.data)
                heard += pcm if track == "caller" else b""
        assert heard == chunk
        await observer.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await until(observer, "error"))[-1]["error"]["code"] == "role_may_not"
        await client.close()
        left = (await until(observer, "vivavoz.participant.left"))[-1]
        assert left["kind"] == "websocket"


async def test_a_token_for_one_call_opens_one_at_either(tmp_path: Path) -> None:
    async with two(tmp_path) as workers, aiohttp.ClientSession() as http, asyncio.timeout(60):
        body = {"grant": {"max_calls": 1, "filter": "on", "label": "once"}}
        url = workers[0] + "/v1/realtime/client_secrets"
        async with http.post(url, json=body, headers=AUTH) as answer:
            token = (await answer.json())["value"]

        async def offer(base: str) -> int:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
            async with http.post(base + "/v1/realtime/calls", data=OFFER, headers=headers) as answer:
                return answer.status

        assert sorted(await asyncio.gather(*map(offer, workers * 2))) == [201, 403, 403, 403]
        async with http.get(workers[1] + "/v1/realtime/calls", headers=AUTH) as answer:
            (entry,) = (await answer.json())["data"]
        assert (entry["filtered"], entry["transport"], entry["grant_label"]) == ("on", "webrtc", "once")
        url = workers[1] + "/v1/realtime/client_secrets/revoke"
        async with http.post(url, json={"value": token}, headers=AUTH) as answer:
            assert answer.status == 204
        assert await offer(workers[0]) == 401
