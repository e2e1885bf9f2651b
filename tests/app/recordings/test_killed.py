"""A recorded call whose application is killed, and whose whole service is told to end: what was said before
and after is kept, both voices of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.caller import sentence
from tests.app.recordings.calls import Kept
from tests.app.recordings.test_end_to_end import loud
from tests.app.test_serving import answered, process_of
from tests.running import Running, vivavoz
from tests.waiting import until
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice

SETTINGS = {"VIVAVOZ_APP_RECORDINGS_ENABLED": "true"}


@contextlib.asynccontextmanager
async def connected(http: aiohttp.ClientSession, service: Running) -> AsyncIterator[tuple[Peer, Voice, str]]:
    """A call through ``/connect``: its peer, its microphone and its id."""
    places: list[str] = []

    async def answer(offer: str) -> str:
        form = aiohttp.FormData()
        form.add_field("sdp", offer, content_type="application/sdp")
        async with http.post(service.url + "/connect", data=form) as reply:
            assert reply.status == 201, await reply.text()
            places.append(reply.headers["Location"].rpartition("/")[2])
            return await reply.text()

    voice = Voice()
    peer = Peer(Peers(), voice, Listener())
    try:
        await peer.connect(answer)
        yield peer, voice, places[0]
    finally:
        await peer.close()


async def observed(http: aiohttp.ClientSession, service: Running, call_id: str) -> dict[str, Any]:
    """The call's state once the observer is attached."""
    while True:
        async with http.get(f"{service.url}/api/calls/{call_id}") as reply:
            if reply.status == 200 and (state := await reply.json())["observer"] == "attached":
                return dict(state)
        await asyncio.sleep(0.1)


async def turn(peer: Peer, voice: Voice, count: int) -> None:
    """One spoken turn, and its answer played to the end: the ``count``-th of the call."""
    voice.say(sentence("good morning"))

    def stopped() -> bool:
        kinds = [event["type"] for _, event in peer.events]
        return kinds.count("output_audio_buffer.stopped") >= count

    await until(stopped, timeout_s=60)


async def recording(http: aiohttp.ClientSession, service: Running, call_id: str) -> tuple[Any, Kept]:
    path = f"{service.url}/api/recordings/{call_id}"
    while True:
        async with http.get(path) as reply:
            if reply.status == 200:
                told = await reply.json()
                break
        await asyncio.sleep(0.1)
    async with http.get(path + "/export") as reply:
        return told, Kept(await reply.read())


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_what_was_said_before_and_after_a_kill_is_there(workers: str, tmp_path: Path) -> None:
    environment = {**SETTINGS, "VIVAVOZ_WORKERS": workers}
    with vivavoz(tmp_path, environment=environment) as service:
        async with aiohttp.ClientSession() as http, asyncio.timeout(90):
            await answered(http, service.url)
            async with connected(http, service) as (peer, voice, call_id):
                await observed(http, service, call_id)
                await turn(peer, voice, 1)
                killed_at = time.time()
                os.kill(process_of(service), signal.SIGKILL)
                await answered(http, service.url)
                state = await observed(http, service, call_id)
                assert len(state["gaps"]) == 1
                await turn(peer, voice, 2)
            told, kept = await recording(http, service, call_id)
    (gap,) = told["gaps"]
    assert gap["since"] <= killed_at < gap["until"]
    assert [line["role"] for line in told["transcript"]] == ["user", "assistant"] * 2
    before, after = (int((at - told["started_at"]) * 10) for at in (killed_at, gap["until"]))
    sound = kept.sound()
    for channel in (0, 1):
        tenths = loud(sound, channel)
        assert (tenths < before).any(), f"channel {channel} is silent before the application was killed"
        assert (tenths > after).any(), f"channel {channel} is silent once it was there again"


async def test_a_service_that_is_told_to_end_keeps_what_was_said(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(90):
        with vivavoz(tmp_path, environment=SETTINGS) as service:
            await answered(http, service.url)
            async with connected(http, service) as (peer, voice, call_id):
                await observed(http, service, call_id)
                await turn(peer, voice, 1)
                service.terminate()
                await asyncio.to_thread(service.process.wait, 60)
        with vivavoz(tmp_path, environment=SETTINGS) as service:
            await answered(http, service.url)
            told, kept = await recording(http, service, call_id)
    assert [line["role"] for line in told["transcript"]] == ["user", "assistant"]
    assert all(len(loud(kept.sound(), channel)) for channel in (0, 1))
