"""Lost packets: as many as asked for, in bursts, always the same ones, and nothing but sound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby

import aiohttp
import pytest

from tests.media.minipeer import MiniPeer, Wire
from tests.media.peers import Client, RecordingSink, loudness, tone
from vivavoz.engines.scripted.faults import LostPackets
from vivavoz.media import opus
from vivavoz.media.config import MediaConfig
from vivavoz.testing.lossy import Loss, LossyEngine
from vivavoz.testing.service import Vivavoz


def lost(count: int, loss: Loss) -> list[bool]:
    return [loss.next() for _ in range(count)]


@pytest.mark.parametrize(("fraction", "burst"), [(0.0, 1), (0.05, 1), (0.2, 4), (0.7, 10), (1.0, 3)])
def test_so_many_in_the_long_run_and_so_many_in_a_row(fraction: float, burst: int) -> None:
    said = LostPackets(fraction=fraction, burst=burst, seed=5)
    packets = lost(100_000, Loss(said, "to_server"))
    assert abs(sum(packets) / len(packets) - fraction) < 0.02
    runs = [len(list(run)) for gone, run in groupby(packets) if gone]
    assert all(run % burst == 0 for run in runs[:-1])


def test_the_seed_says_which() -> None:
    half = LostPackets(fraction=0.5, seed=1)
    assert lost(200, Loss(half, "to_server")) == lost(200, Loss(half, "to_server"))
    assert lost(200, Loss(half, "to_server")) != lost(200, Loss(half, "to_client"))
    other = LostPackets(fraction=0.5, seed=2)
    assert lost(200, Loss(half, "to_server")) != lost(200, Loss(other, "to_server"))


async def speak(said: LostPackets | None, packets: int) -> int:
    """How many of the packets of a peer arrived."""
    wire = Wire()
    wire.engine = LossyEngine(MediaConfig(), lambda: said)
    wire.engine.transmit = wire._transmit  # type: ignore[method-assign]
    async with wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        encoder = opus.Encoder()
        for _ in range(packets):
            peer.send(peer.speak(encoder.encode(tone(20))))
        return peer.call.stats().packets_received


async def test_sound_is_lost_and_connections_are_not() -> None:
    assert await speak(None, 20) == 20
    assert await speak(LostPackets(fraction=1, direction="to_client"), 20) == 20
    assert await speak(LostPackets(fraction=1, direction="to_server"), 20) == 0
    some = LostPackets(fraction=0.3, seed=3)
    arrived = await speak(some, 50)
    assert arrived == await speak(some, 50) == lost(50, Loss(some, "to_server")).count(False)


# ------------------------------------------------------------------------------------------------ whole calls


@asynccontextmanager
async def called(service: Vivavoz, pcm: bytes = b"") -> AsyncIterator[Client]:
    """A browser's call, as far as a browser matters here."""
    client = Client(pcm=pcm)

    async def answer(offer: str) -> str:
        headers = {"Authorization": f"Bearer {service.api_key}", "Content-Type": "application/sdp"}
        url = f"{service.base_url}/realtime/calls?model=gpt-realtime"
        async with aiohttp.ClientSession() as http, http.post(url, data=offer, headers=headers) as answered:
            assert answered.status == 201
            return await answered.text()

    try:
        await client.connect(answer)
        yield client
    finally:
        await client.close()


async def events_until(client: Client, type: str) -> list[str]:
    seen: list[str] = []
    while not seen or seen[-1] != type:
        seen.append(json.loads(await client.message())["type"])
    return seen


@pytest.mark.parametrize("fraction", [0, 1])
async def test_a_call_without_sound_still_has_its_events(vivavoz: Vivavoz, fraction: float) -> None:
    vivavoz.script({"turn": [{"says": "Hello there."}]}, faults={"lost_packets": {"fraction": fraction}})
    async with called(vivavoz, pcm=tone(600, 300.0)) as client:
        await events_until(client, "session.created")
        assert client.channel is not None
        client.channel.send(json.dumps({"type": "response.create"}))
        seen = await events_until(client, "output_audio_buffer.stopped")
    assert "response.done" in seen
    spoke = {event["type"] for event in vivavoz.events} & {"input_audio_buffer.speech_started"}
    assert bool(spoke) == (fraction == 0)
    assert (loudness(bytes(client.heard)) > 0.001) == (fraction == 0)


@pytest.mark.vivavoz(faults={"drop": {"after_events": 3}})
async def test_a_call_over_webrtc_ends_after_so_many_events(vivavoz: Vivavoz) -> None:
    async with called(vivavoz) as client:
        await events_until(client, "session.created")
        assert client.channel is not None
        client.channel.send(json.dumps({"type": "response.create"}))
        await asyncio.to_thread(vivavoz.settle)
    assert len(vivavoz.events) == 3
