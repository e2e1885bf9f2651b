"""An unmodified aiortc client talks to the engine over loopback."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest
from aiortc import RTCRtpSender

from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.peer import Peer

from .minipeer import MiniPeer
from .peers import Client, RecordingSink, client_for, loudness, pitch, running, tone


async def test_sound_and_messages_go_both_ways() -> None:
    async with running() as engine, client_for(engine, pcm=tone(1500, 440)) as (client, sink, call):
        assert sink.states == [("connected", "")]
        call.write(tone(1000, 880), "a")
        call.end("a")
        client.channel.send("to you")
        await sink.wait_for(lambda: sink.events)
        assert sink.events == ["to you"]
        assert call.send_event("to them")
        assert await client.message() == "to them"
        await sink.wait_for(lambda: len(sink.audio) >= 2 * 24000)
        assert abs(pitch(bytes(sink.audio[24000:48000])) - 440) < 10
        assert loudness(bytes(sink.audio[24000:48000])) > 0.1
        await sink.wait_for(lambda: sink.played)
        assert sink.playing == ["a"]
        assert (sink.played[0].tag, sink.played[0].samples, sink.played[0].complete) == ("a", 24000, True)
        await client.hear(lambda heard: loudness(bytes(heard[-48000:])) > 0.05 and len(heard) > 96000)
        spoken = np.frombuffer(bytes(client.heard), dtype="<i2")
        loud = spoken[np.abs(spoken) > 3000]
        assert len(loud)
        assert abs(pitch(bytes(client.heard[-48000:]), 48000) - 880) < 20


async def test_a_client_without_microphone_or_channel_hears() -> None:
    async with (
        running() as engine,
        client_for(engine, pcm=None, label=None, direction="recvonly") as (client, sink, call),
    ):
        call.write(tone(500, 600), "a")
        await client.hear(lambda heard: loudness(bytes(heard[-9600:])) > 0.1)
        await sink.wait_for(lambda: len(sink.audio) > 9600)
        assert not any(sink.audio)


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
async def test_g711_alone_is_enough(name: str) -> None:
    async with running() as engine:
        sink, calls = RecordingSink(), list[Peer]()
        client = Client(pcm=tone(1000, 440))
        capabilities = RTCRtpSender.getCapabilities("audio").codecs
        client.pc.getTransceivers()[0].setCodecPreferences(
            [codec for codec in capabilities if codec.mimeType == f"audio/{name}"]
        )

        async def answer(offer: str) -> str:
            text, call = engine.accept(offer, sink)
            calls.append(call)
            return text

        try:
            await client.connect(answer)
            await sink.wait_for(lambda: len(sink.audio) >= 2 * 20000)
            assert abs(pitch(bytes(sink.audio[16000:])) - 440) < 10
            calls[0].write(tone(1000, 600), "a")
            await client.hear(lambda heard: loudness(bytes(heard[-9600:])) > 0.1)
        finally:
            await client.close()


async def test_silence_stands_in_for_a_muted_microphone() -> None:
    async with running() as engine, client_for(engine, pcm=tone(20000)) as (client, sink, _call):
        await sink.wait_for(lambda: loudness(bytes(sink.audio[-4800:])) > 0.1)
        client.track.open.clear()
        await sink.wait_for(lambda: len(sink.audio) > 48000 and not any(sink.audio[-24000:]))
        client.track.open.set()
        await sink.wait_for(lambda: loudness(bytes(sink.audio[-4800:])) > 0.1)


async def test_a_client_that_leaves_is_noticed() -> None:
    async with running() as engine, client_for(engine) as (client, sink, _call):
        await client.close()
        await sink.wait_for(lambda: sink.state == "closed")
        assert engine.calls == 0


async def test_a_client_that_is_hung_up_on_notices() -> None:
    async with running() as engine, client_for(engine) as (client, sink, call):
        gone = asyncio.Event()
        client.channel.on("close", gone.set)
        call.close("enough")
        await asyncio.wait_for(gone.wait(), 60)
        await sink.wait_for(lambda: sink.states[-1] == ("closed", "enough"))


async def test_a_client_that_vanishes_is_noticed() -> None:
    async with (
        running(MediaConfig(consent_timeout=1.0)) as engine,
        client_for(engine) as (_client, sink, _call),
    ):
        engine.handle = lambda data, source, now: False  # type: ignore[method-assign]
        await sink.wait_for(lambda: sink.states[-1] == ("closed", "the peer vanished"))


async def test_a_large_message_goes_both_ways() -> None:
    async with running() as engine, client_for(engine) as (client, sink, call):
        assert call.send_event("s" * 250_000)
        assert await client.message() == "s" * 250_000
        client.channel.send("c" * 250_000)
        await sink.wait_for(lambda: sink.events)
        assert sink.events == ["c" * 250_000]


def test_it_runs_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def call() -> None:
        async with running() as engine, client_for(engine, pcm=tone(300)) as (client, sink, call):
            call.write(tone(300), "a")
            call.end("a")
            client.channel.send("hello")
            await sink.wait_for(lambda: sink.played and sink.events)
            await sink.wait_for(lambda: loudness(bytes(sink.audio)) > 0.05)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())


async def test_addresses_follow_the_options() -> None:
    async with running(MediaConfig(host="0.0.0.0")) as engine:
        answer, _ = engine.accept(MiniPeer.offer(), RecordingSink())
        candidates = [line.split() for line in answer.split("\r\n") if line.startswith("a=candidate")]
        assert candidates[-1][4] == "127.0.0.1"
        assert {fields[5] for fields in candidates} == {str(engine.port)}
    async with running(MediaConfig(advertise=("203.0.113.5", "2001:db8::1"))) as engine:
        answer, _ = engine.accept(MiniPeer.offer(), RecordingSink())
        assert [line.split()[4] for line in answer.split("\r\n") if line.startswith("a=candidate")] == [
            "203.0.113.5",
            "2001:db8::1",
        ]


async def test_a_taken_port_is_an_error() -> None:
    async with running() as engine:
        with pytest.raises(OSError, match="in use"):
            await LeanEngine(MediaConfig(port=engine.port)).start()


async def test_an_ipv6_socket_serves_ipv4_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        async with (
            running(MediaConfig(host="::", advertise=("127.0.0.1",))) as engine,
            client_for(engine, pcm=tone(300)) as (_client, sink, _call),
        ):
            await sink.wait_for(lambda: loudness(bytes(sink.audio)) > 0.05)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
