"""An unmodified aiortc client talks to the engine over loopback."""

from __future__ import annotations

import numpy as np

from .peers import client_for, loudness, pitch, running, tone


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
