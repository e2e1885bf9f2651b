"""Fifty calls come and go: nothing of them stays, in no part of a worker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from bench.caller import sentence
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice
from vivavoz.media.engine import LeanEngine
from vivavoz.transports.webrtc import WebRtcTransport
from waiting import until

CALLS = 50
AT_ONCE = 10


async def test_registry_and_media_engine_are_empty_afterwards() -> None:
    engines, media = ScriptedEngines(), LeanEngine()
    await media.start()
    speech = sentence("hello there")
    async with CallRegistry(lambda model: engines) as calls:
        tasks, files = asyncio.all_tasks(), _descriptors()
        shared = Peers()

        async def one_call(number: int) -> None:
            voice, listener = Voice(), Listener()
            call = calls.open(None, "gpt-realtime")

            async def answer(offer: str) -> str:
                return WebRtcTransport.accept(media, offer, call, filter="off")

            peer = Peer(shared, voice, listener)
            await peer.connect(answer)
            voice.say(speech)
            await peer.wait_for("output_audio_buffer.started")
            if number % 2:
                await peer.close()
                return
            # Every other call ends from our side, in the middle of its answer.
            call.hangup("enough")
            await call.closed.wait()
            await peer.close()

        for first in range(0, CALLS, AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for number in range(first, first + AT_ONCE):
                    group.create_task(one_call(number))
        await until(lambda: not len(calls) and not media.calls)
        await until(lambda: asyncio.all_tasks() <= tasks)
        assert media.stats.calls_accepted == CALLS
        assert _descriptors() == files
    await media.stop()


def _descriptors() -> int:
    return len(os.listdir(Path("/proc/self/fd")))
