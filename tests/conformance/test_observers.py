"""A browser under the strict filter and an observer who hears both voices, over a real peer connection."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import numpy as np

from tests.conformance.conftest import Services, question
from tests.conformance.test_filter import WITHIN_S, peer
from tests.speech import silence
from vivavoz.wire.extensions import read_sound_frame

SECRET = "The vault is under the oak."
RATE = 24_000


def level(pcm: bytes) -> float:
    return float(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.float32)).mean()) if pcm else 0.0


async def test_an_observer_hears_both_voices_and_the_browser_sees_only_the_talk(services: Services) -> None:
    service = services.get("scripted")
    as_server = {"Authorization": f"Bearer {service.key}"}
    async with asyncio.timeout(WITHIN_S), aiohttp.ClientSession(headers=as_server) as http:
        body = {"grant": {"filter": "strict", "max_calls": 1, "client_events": []}}
        async with http.post(f"{service.url}/v1/realtime/client_secrets", json=body) as answer:
            token = (await answer.json())["value"]
        call_id = ""

        async def exchange(offer: str) -> str:
            nonlocal call_id
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
            url = f"{service.url}/v1/realtime/calls?webrtcfilter=off"
            async with http.post(url, data=offer, headers=headers) as answer:
                assert answer.status == 201
                call_id = answer.headers["Location"].rpartition("/")[2]
                return await answer.text()

        async with peer(silence(1.5) + question("scripted")) as client:
            await client.connect(exchange)
            wants = {"call_id": call_id, "after": "start", "audio": "both", "extras": "timings,participants"}
            observer = await http.ws_connect(f"{service.websocket_url}/realtime", params=wants)
            part = {"type": "input_text", "text": SECRET}
            item = {"type": "message", "role": "system", "content": [part], "private": True}
            await observer.send_json({"type": "conversation.item.create", "item": item})

            received = []
            while not received or received[-1]["type"] != "output_audio_buffer.stopped":
                received.append(json.loads(await client.message()))
            async with http.post(f"{service.url}/v1/realtime/calls/{call_id}/hangup") as answer:
                assert answer.status == 200
            told, tracks = [], {"caller": [(0, b"")], "assistant": [(0, b"")]}
            async for message in observer:
                if message.type is aiohttp.WSMsgType.BINARY:
                    track, position, pcm = read_sound_frame(message.data)
                    tracks[track].append((position, pcm))
                else:
                    told.append(message.json())

        assert SECRET not in json.dumps(received)
        assert {event["item"]["role"] for event in received if "item" in event} <= {"user", "assistant"}
        assert SECRET in json.dumps(told)
        kinds = [event["type"] for event in told]
        assert kinds.index("vivavoz.replayed") < kinds.index("vivavoz.participant.joined")
        assert kinds[-1] == "vivavoz.participant.left"
        timings = next(event for event in told if event["type"] == "vivavoz.turn.timings")
        assert timings["first_packet_ms"] >= timings["tts_first_audio_ms"] >= 0

        caller = b"".join(pcm for _, pcm in tracks["caller"])
        assistant = b"".join(pcm for _, pcm in tracks["assistant"])
        assert level(caller) > 50
        assert level(assistant) > 50
        # Both on one clock: the assistant begins after the caller, and both within the call.
        first_word = next(position for position, pcm in tracks["assistant"] if level(pcm) > 50)
        question_at = next(position for position, pcm in tracks["caller"] if level(pcm) > 200)
        assert 0 < question_at < first_word < WITHIN_S * RATE
        for pieces in tracks.values():
            ends = [position + len(pcm) // 2 for position, pcm in pieces]
            assert all(end <= start for end, (start, _) in zip(ends, pieces[1:], strict=False))
