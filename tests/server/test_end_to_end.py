"""A whole worker with scripted engines, driven by the official SDK and by an aiortc peer's offer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.realtime import (
    RealtimeTranscriptionSessionCreateRequest,
    RealtimeTranscriptionSessionCreateResponse,
)
from openai.types.realtime.realtime_transcription_session_audio_input_param import (
    RealtimeTranscriptionSessionAudioInputParam as AudioInput,
)
from websockets.exceptions import InvalidStatus

from vivavoz import worker
from vivavoz.assembly import Plan
from vivavoz.config import Config, Limits, Secrets, Server

KEY = "a-key-of-ours"

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=msid-semantic: WMS",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=ice-options:trickle",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:1",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "",
    ]
)
"""As Chromium writes it: no candidates."""


def config(folder: Path, limits: Limits | None = None, **server: Any) -> Config:
    return Config(
        default_engines="scripted",
        server=Server(port=0, udp_port=0, state_dir=str(folder), drain_seconds=0.2, **server),
        limits=limits or Limits(),
    )


@contextlib.asynccontextmanager
async def serving(config: Config, *keys: str) -> AsyncIterator[str]:
    """The base URL of a running worker."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ending = worker.Ending()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run(Plan(config=config), Secrets(keys), ending, port.set_result))
        await asyncio.wait([task, port], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield f"http://127.0.0.1:{await port}"
        ending.ask()


async def say(connection: Any, text: str) -> str:
    """One text turn; the words of the answer."""
    await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await connection.conversation.item.create(item=item)
    await connection.response.create()
    answer = ""
    async for event in connection:
        assert event.type != "error", event
        if event.type == "response.output_text.delta":
            answer += event.delta
        if event.type == "response.done":
            assert event.response.status == "completed"
            return answer
    raise AssertionError("the connection closed before the response was done")


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
async def test_the_sdk_talks_with_the_key_and_with_a_client_secret(prefix: str, tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(60):
        async with AsyncOpenAI(base_url=url + prefix, api_key=KEY) as client:
            secret = await client.realtime.client_secrets.create(
                session={"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be brief."}
            )
            async with client.realtime.connect(model="gpt-realtime") as connection:
                assert "Good morning" in await say(connection, "Good morning")
        async with (
            AsyncOpenAI(base_url=url + prefix, api_key=secret.value) as client,
            client.realtime.connect() as connection,
        ):
            created = await connection.recv()
            assert created.type == "session.created"
            assert created.session.model == "gpt-realtime-mini"
            assert created.session.instructions == "Be brief."
            assert created.session.id == secret.session.id
            assert "Good evening" in await say(connection, "Good evening")


async def test_the_sdk_has_speech_written_down(tmp_path: Path) -> None:
    """A transcription session, from the URL and from a client secret; it is the same to the SDK's types."""
    sound = base64.b64encode(bytes(24_000)).decode()
    heard: AudioInput = {"turn_detection": None, "transcription": {"model": "whisper-1"}}
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(60):
        async with AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client:
            secret = await client.realtime.client_secrets.create(
                session={"type": "transcription", "audio": {"input": heard}}
            )
            assert isinstance(secret.session, RealtimeTranscriptionSessionCreateResponse)
            assert secret.session.object == "realtime.transcription_session"
        for key, query in ((KEY, {"intent": "transcription"}), (secret.value, {})):
            async with (
                AsyncOpenAI(base_url=url + "/v1", api_key=key) as client,
                client.realtime.connect(extra_query=query) as connection,
            ):
                created = await connection.recv()
                assert created.type == "session.created"
                assert isinstance(created.session, RealtimeTranscriptionSessionCreateRequest)
                await connection.session.update(session={"type": "transcription", "audio": {"input": heard}})
                await connection.input_audio_buffer.append(audio=sound)
                await connection.input_audio_buffer.commit()
                async for event in connection:
                    assert not event.type.startswith("response")
                    if event.type == "conversation.item.input_audio_transcription.completed":
                        break


async def test_a_secret_for_one_kind_of_session_opens_no_other(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
    ):
        secret = await client.realtime.client_secrets.create(session={"type": "realtime"})
        with pytest.raises(InvalidStatus) as refused:
            async with (
                AsyncOpenAI(base_url=url + "/v1", api_key=secret.value) as stranger,
                stranger.realtime.connect(extra_query={"intent": "transcription"}),
            ):
                pass
        assert refused.value.response.status_code == 400
        assert b"is not allowed" in refused.value.response.body


async def test_the_sdk_shows_an_image(tmp_path: Path) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    async with (
        serving(config(tmp_path), KEY) as url,
        asyncio.timeout(60),
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        item: Any = {"type": "message", "role": "user", "content": [image]}
        await connection.conversation.item.create(item=item)
        await connection.response.create(response={"output_modalities": ["text"]})
        async for event in connection:
            assert event.type != "error", event
            if event.type == "response.output_text.done":
                assert event.text == "You sent an image."
                break


async def test_azures_client_talks(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(60):
        client = AsyncAzureOpenAI(
            azure_endpoint=url,
            api_key=KEY,
            api_version="2025-08-28",
            websocket_base_url=url.replace("http", "ws", 1) + "/openai/v1",
        )
        async with client, client.realtime.connect(model="my-deployment") as connection:
            assert "Hello" in await say(connection, "Hello")


async def test_an_offer_is_answered_watched_and_hung_up(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
        asyncio.timeout(60),
    ):
        answer = await client.realtime.calls.create(
            sdp=OFFER, session={"type": "realtime", "model": "gpt-realtime"}
        )
        assert answer.response.status_code == 201
        assert "a=ice-ufrag" in answer.text
        call_id = answer.response.headers["location"].rsplit("/", 1)[1]
        async with client.realtime.connect(extra_query={"call_id": call_id}) as sideband:
            await sideband.session.update(session={"type": "realtime", "instructions": "Be brief."})
            assert (await sideband.recv()).type in ("session.created", "session.updated")
            await client.realtime.calls.hangup(call_id)
            # The SDK ends the iteration at a normal close, and raises at any other.
            assert [event async for event in sideband if event.type == "error"] == []


@pytest.mark.parametrize(
    "offer",
    ["v=0\r\n", OFFER.replace("m=audio 9", "m=video 9"), OFFER.replace("a=fingerprint", "a=x"), "v=0" * 9000],
)
async def test_offers_that_cannot_be_answered_leave_no_call(offer: str, tmp_path: Path) -> None:
    async with serving(config(tmp_path)) as url, aiohttp.ClientSession() as http:
        headers = {"Content-Type": "application/sdp"}
        async with http.post(url + "/v1/realtime/calls", data=offer, headers=headers) as answer:
            assert answer.status == 400
            error = (await answer.json())["error"]
            assert (error["code"], error["param"]) == ("invalid_offer", "sdp")
        async with http.get(url + "/healthz") as health:
            assert (await health.json())["calls"] == 0


async def test_a_maximum_duration_closes_with_1001(tmp_path: Path) -> None:
    limits = Limits(session_seconds=0.2)
    async with (
        serving(config(tmp_path, limits)) as url,
        aiohttp.ClientSession() as http,
        http.ws_connect(url + "/v1/realtime") as websocket,
        asyncio.timeout(60),
    ):
        while (message := await websocket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == 1001
        assert "maximum duration" in (message.extra or "")


async def test_garbage_on_the_wire_gets_errors_and_the_session_lives(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path)) as url,
        aiohttp.ClientSession() as http,
        http.ws_connect(url + "/v1/realtime") as websocket,
        asyncio.timeout(60),
    ):
        await websocket.receive_json()
        for garbage in ("{", "[]", '{"type": 1}', '{"type": "nope"}', "null", "\u0000"):
            await websocket.send_str(garbage)
            assert (await websocket.receive_json())["type"] == "error"
        await websocket.send_bytes(b"\xff\x00")
        assert (await websocket.receive_json())["type"] == "error"
        await websocket.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await websocket.receive_json())["type"] == "session.updated"
