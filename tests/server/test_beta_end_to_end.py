"""The official SDK's beta client, unmodified, against a whole worker with scripted engines."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from openai import AsyncAzureOpenAI, AsyncOpenAI

from tests.call.sounds import silence, voice
from tests.media.peers import Client as Peer
from tests.server.test_end_to_end import KEY, config, say, serving
from tests.wire import beta_oracle

WITHIN_S = 30
SCRIPT = """
[[turn]]
when = "story"
says = "Once upon a time there was a sea."
repeat = 50
delays = { token_ms = 20, tts_word_ms = 20 }
"""


class Client:
    """A connection of the SDK's; everything that comes is held to the SDK's beta types."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event = beta_oracle.check(await self.connection.recv_bytes())
            assert event["type"] != "error", event
            self.seen.append(event)
            if event["type"] == kind:
                return event

    async def say(self, words: str) -> None:
        part = {"type": "input_text", "text": words}
        await self.connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [part]}
        )
        await self.connection.response.create()

    async def talk(self, *sounds: bytes) -> None:
        """As fast as it goes: turns are counted in samples."""
        for sound in sounds:
            for start in range(0, len(sound), 4800):
                chunk = base64.b64encode(sound[start : start + 4800]).decode()
                await self.connection.input_audio_buffer.append(audio=chunk)

    def types(self) -> list[str]:
        """What has come since this was asked last."""
        seen, self.seen = self.seen, []
        return [event["type"] for event in seen]


def sdk_of(url: str, key: str) -> AsyncOpenAI:
    # Left to itself, the SDK's beta client dials wss.
    return AsyncOpenAI(
        api_key=key, base_url=url + "/v1", websocket_base_url=url.replace("http", "ws", 1) + "/v1"
    )


@contextlib.asynccontextmanager
async def talking(sdk: Any, **options: Any) -> AsyncIterator[Client]:
    async with sdk, sdk.beta.realtime.connect(model="gpt-4o-realtime-preview", **options) as connection:
        client = Client(connection)
        await client.until("conversation.created")
        assert client.types() == ["session.created", "conversation.created"]
        yield client


async def test_a_whole_conversation_over_a_websocket(tmp_path: Path) -> None:
    script = tmp_path / "story.toml"
    script.write_text(SCRIPT)
    settings = msgspec.structs.replace(config(tmp_path), script=str(script))
    async with (
        serving(settings, KEY) as url,
        asyncio.timeout(WITHIN_S),
        talking(sdk_of(url, KEY)) as client,
    ):
        await client.say("hello")
        done = (await client.until("response.done"))["response"]
        assert "hello" in done["output"][0]["content"][0]["transcript"]
        assert "response.audio.delta" in client.types()

        await client.connection.session.update(
            session={
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
                "temperature": 0.8,
            }
        )
        await client.until("session.updated")
        await client.talk(silence(300), voice(900), silence(600))
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.until("response.done")
        spoken = client.types()
        assert spoken.index("input_audio_buffer.committed") < spoken.index("conversation.item.created")

        tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
        await client.connection.session.update(session={"tools": [tool], "modalities": ["text"]})
        await client.until("session.updated")
        await client.say("Please call get_weather.")
        call = await client.until("response.function_call_arguments.done")
        await client.until("response.done")
        await client.connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        )
        await client.connection.response.create()
        answer = (await client.until("response.done"))["response"]
        assert "sunny" in answer["output"][0]["content"][0]["text"]
        assert "response.text.delta" in client.types()

        await client.connection.session.update(session={"modalities": ["audio", "text"], "tools": []})
        await client.say("A story.")
        delta = await client.until("response.audio.delta")
        await client.talk(voice(400), silence(600))
        await client.until("input_audio_buffer.speech_started")
        cancelled = (await client.until("response.done"))["response"]
        assert cancelled["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        await client.connection.conversation.item.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=50
        )
        await client.until("conversation.item.truncated")


async def test_a_secret_minted_in_the_beta_opens_a_conversation(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(WITHIN_S):
        async with sdk_of(url, KEY) as sdk:
            session = await sdk.beta.realtime.sessions.create(
                model="gpt-4o-realtime-preview", voice="sage", modalities=["text"], instructions="Be brief."
            )
        secret = session.client_secret.value
        async with talking(sdk_of(url, secret)) as client:
            await client.say("hello")
            done = (await client.until("response.done"))["response"]
            assert (done["modalities"], done["voice"]) == (["text"], "sage")


async def test_azures_client_speaks_the_beta_where_it_dials(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(WITHIN_S):
        sdk = AsyncAzureOpenAI(
            azure_endpoint=url,
            api_key=KEY,
            api_version="2024-10-01-preview",
            websocket_base_url=url.replace("http", "ws", 1) + "/openai",
        )
        async with talking(sdk) as client:
            await client.say("hello")
            assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_azures_client_speaks_ga_there_from_its_version_on(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(WITHIN_S):
        sdk = AsyncAzureOpenAI(
            azure_endpoint=url,
            api_key=KEY,
            api_version="2025-08-28",
            websocket_base_url=url.replace("http", "ws", 1) + "/openai",
        )
        async with sdk, sdk.realtime.connect(model="mine") as connection:
            assert "hello" in await say(connection, "hello")
            secret = await sdk.realtime.client_secrets.create(session={"type": "realtime", "model": "mine"})
            assert secret.value.startswith("ek_")


async def test_a_client_without_the_header_on_azures_older_path(tmp_path: Path) -> None:
    """As LiveKit's plugin dials with an ``api_version``."""
    async with (
        serving(config(tmp_path), KEY) as url,
        aiohttp.ClientSession() as http,
        asyncio.timeout(WITHIN_S),
    ):
        path = "/openai/realtime?api-version=2024-10-01-preview&deployment=mine"
        async with http.ws_connect(url + path, headers={"api-key": KEY}) as websocket:
            created = beta_oracle.check(await websocket.receive_str())
            assert (created["type"], created["session"]["model"]) == ("session.created", "mine")
            assert beta_oracle.check(await websocket.receive_str())["type"] == "conversation.created"
            await websocket.send_json(
                {"type": "session.update", "event_id": "e1", "session": {"voice": "nobody"}}
            )
            error = beta_oracle.check(await websocket.receive_str())["error"]
            assert (error["event_id"], error["param"]) == ("e1", "session.voice")
            await websocket.send_json({"type": "session.update", "session": {"type": "realtime"}})
            error = beta_oracle.check(await websocket.receive_str())["error"]
            assert error["message"] == "Unknown parameter: 'session.type'."


async def test_a_session_that_only_transcribes(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(WITHIN_S):
        async with sdk_of(url, KEY) as sdk:
            minted = await sdk.beta.realtime.transcription_sessions.create(
                input_audio_transcription={"model": "whisper-1"}
            )
        headers = {"OpenAI-Beta": "realtime=v1", "Authorization": f"Bearer {minted.client_secret.value}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.ws_connect(url + "/v1/realtime?intent=transcription") as websocket,
        ):
            created = beta_oracle.check(await websocket.receive_str())
            assert created["type"] == "transcription_session.created"
            assert created["session"]["input_audio_transcription"]["model"] == "whisper-1"
            await websocket.send_json(
                {
                    "type": "transcription_session.update",
                    "session": {"turn_detection": {"silence_duration_ms": 300}},
                }
            )
            updated = beta_oracle.check(await websocket.receive_str())
            assert updated["type"] == "transcription_session.updated"
            assert updated["session"]["turn_detection"]["silence_duration_ms"] == 300
            sound = base64.b64encode(silence(300) + voice(900) + silence(600)).decode()
            await websocket.send_json({"type": "input_audio_buffer.append", "audio": sound})
            seen = [updated]
            while not seen[-1]["type"].endswith(".completed"):
                seen.append(beta_oracle.check(await websocket.receive_str()))
            assert seen[-1]["transcript"]
            types = [event["type"] for event in seen]
            assert "conversation.item.created" in types
            assert not [name for name in types if name.startswith("response.")]


async def test_a_beta_browser_talks_while_a_ga_observer_watches(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        aiohttp.ClientSession(headers={"api-key": KEY}) as http,
        asyncio.timeout(WITHIN_S),
    ):
        call_id = ""

        async def exchange(offer: str) -> str:
            nonlocal call_id
            headers = {"Content-Type": "application/sdp"}
            async with http.post(url + "/v1/realtime?model=m", data=offer, headers=headers) as answer:
                assert answer.status == 201
                call_id = answer.headers["Location"].rpartition("/")[2]
                return await answer.text()

        peer = Peer()
        try:
            await peer.connect(exchange)
            async with http.ws_connect(f"{url}/v1/realtime?call_id={call_id}") as sideband:
                seen = [beta_oracle.check(await peer.message()) for _ in range(2)]
                assert [event["type"] for event in seen] == ["session.created", "conversation.created"]
                assert peer.channel is not None
                peer.channel.send(
                    json.dumps(
                        {"type": "session.update", "session": {"voice": "sage", "turn_detection": None}}
                    )
                )
                part = {"type": "input_text", "text": "hello"}
                item = {"type": "message", "role": "user", "content": [part]}
                peer.channel.send(json.dumps({"type": "conversation.item.create", "item": item}))
                peer.channel.send(json.dumps({"type": "response.create"}))
                while seen[-1]["type"] != "output_audio_buffer.stopped":
                    seen.append(beta_oracle.check(await peer.message()))
                watched = [await sideband.receive_json()]
                while watched[-1]["type"] != "output_audio_buffer.stopped":
                    watched.append(await sideband.receive_json())
        finally:
            await peer.close()
        assert len(peer.heard) > 0
        beta, ga = ({event["type"] for event in events} for events in (seen, watched))
        assert {"session.updated", "conversation.item.created", "response.audio_transcript.delta"} <= beta
        assert {"conversation.item.added", "response.output_audio_transcript.delta"} <= ga
        assert not {"conversation.item.done", "response.audio.delta", "error"} & beta
        [done] = [event for event in seen if event["type"] == "response.done"]
        assert done["response"]["voice"] == "sage"
