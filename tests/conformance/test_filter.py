"""`webrtcfilter=on`: the browser's side receives eleven types of events, an observer all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp

from tests.conformance.conftest import Services, question
from tests.media.peers import Client
from tests.speech import silence

BROWSER_SEES = {
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.added",
    "conversation.item.created",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
}
NEVER_SENT = {"conversation.item.created", "response.output_text.delta", "response.output_text.done"}
"""Of an older protocol, and of answers in text: a spoken conversation has none of them."""

OBSERVER_SEES_TOO = {
    "session.updated",
    "input_audio_buffer.committed",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
}
WITHIN_S = 90


@contextlib.asynccontextmanager
async def peer(pcm: bytes) -> AsyncIterator[Client]:
    client = Client(pcm=pcm)
    try:
        yield client
    finally:
        await client.close()


async def test_a_filtered_peer_sees_eleven_types_and_an_observer_all(services: Services) -> None:
    service = services.get("scripted")
    as_server = {"Authorization": f"Bearer {service.key}"}
    async with asyncio.timeout(WITHIN_S), aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        location = ""

        async def exchange(offer: str) -> str:
            nonlocal location
            async with http.post(
                f"{service.url}/openai/v1/realtime/calls?webrtcfilter=on",
                data=offer,
                headers={"Authorization": f"Bearer {service.mint()}", "Content-Type": "application/sdp"},
            ) as answer:
                assert answer.status == 201
                location = answer.headers["Location"]
                return await answer.text()

        async with peer(silence(1.5) + question("scripted")) as client:
            await client.connect(exchange)
            observer = await http.ws_connect(
                f"{service.websocket_url}/realtime",
                params={"call_id": location.rpartition("/")[2]},
                headers=as_server,
            )
            observed: list[dict[str, object]] = []
            ended = asyncio.Event()

            async def observe() -> None:
                async for message in observer:
                    observed.append(event := message.json())
                    if event["type"] == "output_audio_buffer.stopped":
                        ended.set()

            watching = group.create_task(observe())
            # The observer may change the session, and the browser does not learn how.
            await observer.send_json(
                {
                    "type": "session.update",
                    "session": {
                        "type": "realtime",
                        "instructions": "A secret.",
                        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                    },
                }
            )
            received = [json.loads(await client.message())]
            while received[-1]["type"] != "output_audio_buffer.stopped":
                received.append(json.loads(await client.message()))
            await ended.wait()

            types = {event["type"] for event in received}
            assert types <= BROWSER_SEES
            assert types == BROWSER_SEES - NEVER_SENT
            assert "A secret." not in json.dumps(received)

            seen = {event["type"] for event in observed}
            assert seen >= (BROWSER_SEES - NEVER_SENT) | OBSERVER_SEES_TOO
            assert "response.output_audio.delta" not in seen

            async with http.post(
                f"{service.url}/v1/realtime/calls/{location.rpartition('/')[2]}/hangup", headers=as_server
            ) as answer:
                assert answer.status == 200
            await watching
            assert observer.closed
