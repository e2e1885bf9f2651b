"""Runs in an environment of its own: the agents SDK for Python, unmodified, as its guide uses it.

    python agents_client.py URL KEY WAV

Prints one JSON object: what was said, which tool was called, and how an interruption went.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import wave
from typing import Literal

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner

CHUNK_MS = 40
TURN_S = 60
asked = []


@function_tool
def get_weather(city: Literal["Lisbon"]) -> str:
    """The weather."""
    asked.append({"city": city})
    return "sunny"


class Watch:
    """The session's events as they come; what the server sent is in `raw_model_event`."""

    def __init__(self, session):
        self._events = aiter(session)
        self.audio_bytes = 0
        self.errors = []

    async def until(self, kind):
        """The next event of the server, or of the SDK (`sdk.…`), of this type."""
        async with asyncio.timeout(TURN_S):
            while True:
                event = await anext(self._events)
                if event.type == "error":
                    self.errors.append(str(event.error))
                if event.type == "audio":
                    self.audio_bytes += len(event.audio.data)
                if kind == f"sdk.{event.type}":
                    return event
                raw = event.type == "raw_model_event" and event.data.type == "raw_server_event"
                if raw and event.data.data["type"] == kind:
                    return event.data.data


def words(done):
    return " ".join(part["transcript"] for item in done["response"]["output"] for part in item["content"])


async def speak(session, pcm):
    """Send sound at the pace of a microphone, then silence, until cancelled."""
    step = CHUNK_MS * 48
    start = time.monotonic()
    sent = 0
    while True:
        chunk = pcm[sent : sent + step]
        await session.send_audio(chunk + bytes(step - len(chunk)))
        sent += step
        await asyncio.sleep(max(0, start + sent / 48000 - time.monotonic()))


async def main():
    url, key, path = sys.argv[1:]
    with wave.open(path) as file:
        pcm = file.readframes(file.getnframes())
    set_tracing_disabled(True)
    agent = RealtimeAgent(name="Assistant", instructions="Be brief.", tools=[get_weather])
    async with await RealtimeRunner(agent).run(model_config={"api_key": key, "url": url}) as session:
        watch = Watch(session)
        await watch.until("session.updated")

        await session.send_message("Good evening.")
        text = await watch.until("response.done")

        await session.send_message("Please get_weather for Lisbon.")
        called = await watch.until("response.function_call_arguments.done")
        await watch.until("response.done")
        told = await watch.until("response.done")

        before = watch.audio_bytes
        speaking = asyncio.create_task(speak(session, pcm))
        heard = await watch.until("conversation.item.input_audio_transcription.completed")
        spoken = await watch.until("response.done")
        speaking.cancel()
        spoken_bytes = watch.audio_bytes - before

        await session.send_message("Count to 900, one by one, and leave none out.")
        await watch.until("sdk.audio")
        speaking = asyncio.create_task(speak(session, pcm))
        await watch.until("sdk.audio_interrupted")
        cancelled = await watch.until("response.done")
        again = await watch.until("response.done")
        speaking.cancel()

    result = {
        "errors": watch.errors,
        "text": {"said": words(text)},
        "tool": {"name": called["name"], "arguments": asked[0], "said": words(told)},
        "spoken": {
            "heard": heard["transcript"],
            "said": words(spoken),
            "audio_ms": spoken_bytes // 48,
        },
        "interruption": {
            "status": cancelled["response"]["status"],
            "reason": cancelled["response"]["status_details"]["reason"],
            "next_status": again["response"]["status"],
        },
    }
    print(json.dumps(result))


asyncio.run(main())
