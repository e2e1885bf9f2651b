"""A real Chromium talks to the engine: its microphone is heard, our tone is heard, messages go both ways."""

from __future__ import annotations

import contextlib
import json
import os
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.peer import Peer
from vivavoz.media.stun import Address
from vivavoz.media.tcp import TcpAddress

from .peers import RecordingSink, loudness, pitch, running, tone

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

PAGE = """<!doctype html><title>peer</title><script>
const messages = [];
let pc, channel;
async function start(options) {
  pc = new RTCPeerConnection();
  channel = pc.createDataChannel("oai-events");
  channel.onmessage = (event) => messages.push(event.data);
  pc.ontrack = (event) => {
    const audio = new Audio();
    audio.autoplay = true;
    audio.srcObject = event.streams[0];
    window.audio = audio;
  };
  if (options.microphone) {
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    pc.addTrack(stream.getTracks()[0]);
  } else {
    pc.addTransceiver("audio", {direction: "recvonly"});
  }
  if (options.video) pc.addTransceiver("video");
  await pc.setLocalDescription();
  // At once, without waiting for candidates, as clients of the Realtime API do.
  const answer = await fetch("/offer", {method: "POST", body: pc.localDescription.sdp});
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
  await new Promise((resolve) => channel.readyState === "open" ? resolve() : channel.onopen = resolve);
}
async function inbound() {
  for (const report of (await pc.getStats()).values())
    if (report.type === "inbound-rtp" && report.kind === "audio") return report;
}
</script>"""


def _speech(path: Path) -> None:
    """What the fake microphone speaks: 1 s of silence, 6 s of 500 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(bytes(2 * 48000) + tone(6000, 500, rate=48000))


@contextlib.asynccontextmanager
async def _page(
    engine: LeanEngine, sink: RecordingSink, calls: list[Peer], folder: Path
) -> AsyncIterator[Page]:
    async def offer(request: web.Request) -> web.Response:
        answer, call = engine.accept(await request.text(), sink)
        calls.append(call)
        return web.Response(text=answer)

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/offer", offer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    microphone = folder / "microphone.wav"
    _speech(microphone)
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM,
                headless=True,
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--allow-loopback-in-peer-connection",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                    f"--use-file-for-fake-audio-capture={microphone}%noloop",
                    "--autoplay-policy=no-user-gesture-required",
                    "--disable-background-networking",
                ],
                ignore_default_args=["--mute-audio"],
            )
            try:
                tab = await browser.new_page()
                await tab.goto(f"http://127.0.0.1:{port}/")
                yield tab
            finally:
                await browser.close()
    finally:
        await runner.cleanup()


@pytest.fixture
def chromium() -> None:
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium")


async def test_chromium_speaks_hears_and_exchanges_messages(chromium: None, tmp_path: Path) -> None:
    sink, calls = RecordingSink(), []
    async with running() as engine, _page(engine, sink, calls, tmp_path) as page:
        await page.evaluate("start({microphone: true, video: true})")
        await sink.wait_for(lambda: sink.state == "connected")
        call = calls[0]

        call.write(tone(3000, 700), "answer")
        call.end("answer")
        large = json.dumps({"type": "large", "text": "ä" * 200_000}, ensure_ascii=False)
        assert call.send_event("hello")
        assert call.send_event(large)
        await page.evaluate("channel.send('hi'); channel.send(new Uint8Array([1, 2, 3]))")
        await page.evaluate("channel.send('x'.repeat(250000))")
        await sink.wait_for(lambda: len(sink.events) == 3)
        assert sink.events == ["hi", b"\1\2\3", "x" * 250_000]
        await page.wait_for_function("messages.length == 2")
        assert await page.evaluate("messages[0]") == "hello"
        assert await page.evaluate("messages[1].length") == len(large)

        await sink.wait_for(lambda: sink.played)
        assert sink.played[0].samples == 72000
        heard: dict[str, Any] = await page.evaluate("inbound()")
        assert heard["totalAudioEnergy"] > 0.01
        # A machine busy with other things may lose a packet while the large message floods its buffers.
        assert heard["packetsLost"] <= 0.03 * heard["packetsReceived"]
        assert engine.stats.send_failures == 0
        loud_concealed = heard["concealedSamples"] - heard["silentConcealedSamples"]
        assert loud_concealed < 0.2 * heard["totalSamplesReceived"]  # 0.02 on an idle one

        await sink.wait_for(lambda: loudness(bytes(sink.audio[-24000:])) > 0.02)
        assert abs(pitch(bytes(sink.audio[-24000:])) - 500) < 15
        stats = call.stats()
        assert stats.packets_received > 50
        assert stats.packets_lost <= 0.03 * stats.packets_received

        await page.evaluate("pc.close()")
        await sink.wait_for(lambda: sink.state == "closed")
        assert engine.calls == 0


async def test_a_page_without_microphone_hears(chromium: None, tmp_path: Path) -> None:
    sink, calls = RecordingSink(), []
    async with running() as engine, _page(engine, sink, calls, tmp_path) as page:
        await page.evaluate("start({microphone: false})")
        await sink.wait_for(lambda: sink.state == "connected")
        calls[0].write(tone(1000, 700), "answer")
        calls[0].end("answer")
        await sink.wait_for(lambda: sink.played)
        await page.wait_for_function("inbound().then((report) => report.totalAudioEnergy > 0.005)")
        await sink.wait_for(lambda: len(sink.audio) > 24000)
        assert not any(sink.audio)


async def test_where_udp_is_blocked_chromium_takes_tcp(chromium: None, tmp_path: Path) -> None:
    sink, calls = RecordingSink(), list[Peer]()
    async with running(MediaConfig(tcp_port=0)) as engine:
        handle = engine.handle

        def blocked(data: bytes, source: Address, now: float) -> bool:
            return isinstance(source, TcpAddress) and handle(data, source, now)

        engine.handle = blocked  # type: ignore[method-assign]
        async with _page(engine, sink, calls, tmp_path) as page:
            await page.evaluate("start({microphone: true})")
            await sink.wait_for(lambda: sink.state == "connected")
            call = calls[0]
            assert isinstance(call.ice.selected, TcpAddress)
            call.write(tone(2000, 700), "answer")
            call.end("answer")
            assert call.send_event("x" * 200_000)
            await page.evaluate("channel.send('y'.repeat(250000))")
            await sink.wait_for(lambda: sink.events)
            assert sink.events == ["y" * 250_000]
            await page.wait_for_function("messages.length == 1")
            await sink.wait_for(lambda: sink.played)
            await page.wait_for_function("inbound().then((report) => report.totalAudioEnergy > 0.01)")
            await sink.wait_for(lambda: loudness(bytes(sink.audio[-24000:])) > 0.02)
            assert abs(pitch(bytes(sink.audio[-24000:])) - 500) < 15
            await page.evaluate("pc.close()")
            await sink.wait_for(lambda: sink.state == "closed")
        assert engine.stats.connections_accepted >= 1
        assert engine.calls == 0
