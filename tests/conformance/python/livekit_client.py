"""Runs in an environment of its own: livekit's plugin for the Realtime API, unmodified, without a room.

    python livekit_client.py URL KEY WAV

It drives the model as livekit's `AgentSession` does: history by `update_chat_ctx`, answers by
`generate_reply`, and on an interruption `interrupt` and `truncate`. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import wave
from typing import Literal

from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai

CHUNK_MS = 40
RATE = 24_000
WITHIN_S = 180


@llm.function_tool
async def get_weather(city: Literal["Lisbon"]) -> str:
    """The weather."""
    return "sunny"


async def read(generation):
    """Words, sound in milliseconds, calls and item of an answer, once it is over."""
    said, sound_ms, item = "", 0.0, None

    async def words(message):
        return "".join([str(text) async for text in message.text_stream])

    async def sound(message):
        return sum([frame.duration * 1000 async for frame in message.audio_stream])

    async for message in generation.message_stream:
        item = message.message_id
        text, heard_ms = await asyncio.gather(words(message), sound(message))
        said += text
        sound_ms += heard_ms
    calls = [call async for call in generation.function_stream]
    return said, sound_ms, calls, item


async def speak(session, pcm):
    """Push sound at the pace of a microphone, then silence, until cancelled."""
    step = CHUNK_MS * 48
    start = time.monotonic()
    sent = 0
    while True:
        chunk = pcm[sent : sent + step]
        session.push_audio(rtc.AudioFrame(chunk + bytes(step - len(chunk)), RATE, 1, step // 2))
        sent += step
        await asyncio.sleep(max(0, start + sent / 48000 - time.monotonic()))


async def main():
    url, key, path = sys.argv[1:]
    with wave.open(path) as file:
        pcm = file.readframes(file.getnframes())
    async with asyncio.timeout(WITHIN_S):
        model = openai.realtime.RealtimeModel(base_url=url, api_key=key)
        session = model.session()
        answers, transcripts, started = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        responses, errors = asyncio.Queue(), []

        def on_transcript(event):
            if event.is_final:
                transcripts.put_nowait(event.transcript)

        def on_generation(event):
            if not event.user_initiated:
                answers.put_nowait(event)

        def on_raw(event):
            if event["type"] == "response.done":
                responses.put_nowait(event["response"])

        session.on("generation_created", on_generation)
        session.on("input_audio_transcription_completed", on_transcript)
        session.on("input_speech_started", started.put_nowait)
        session.on("openai_server_event_received", on_raw)
        session.on("error", lambda event: errors.append(str(event.error)))

        async def add(item):
            history = session.chat_ctx.copy()
            history.items.append(item)
            await session.update_chat_ctx(history)

        async def ask(text):
            await add(llm.ChatMessage(role="user", content=[text]))
            return await session.generate_reply()

        await session.update_instructions("Be brief.")
        await session.update_tools([get_weather])

        said, *_ = await read(await ask("Good evening."))

        *_, calls, _ = await read(await ask("Please get_weather for Lisbon."))
        (call,) = calls
        await add(
            llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output="sunny", is_error=False)
        )
        told, *_ = await read(await session.generate_reply())

        speaking = asyncio.create_task(speak(session, pcm))
        answer, sound_ms, *_ = await read(await answers.get())
        heard = await transcripts.get()
        speaking.cancel()

        while not responses.empty():
            responses.get_nowait()
        while not started.empty():
            started.get_nowait()
        reading = asyncio.create_task(read(await ask("Count to 900, one by one, and leave none out.")))
        speaking = asyncio.create_task(speak(session, pcm))
        await started.get()
        session.interrupt()
        cancelled = await responses.get()
        *_, item = await reading
        session.truncate(message_id=item, modalities=["audio"], audio_end_ms=300, audio_transcript="1")
        await read(await answers.get())
        again = await responses.get()
        speaking.cancel()
        history = [
            [item.role, item.text_content] for item in session.chat_ctx.items if item.type == "message"
        ]
        await session.aclose()
        await model.aclose()

    result = {
        "errors": errors,
        "text": {"said": said},
        "tool": {"name": call.name, "arguments": json.loads(call.arguments), "said": told},
        "spoken": {"heard": heard, "said": answer, "audio_ms": sound_ms},
        "interruption": {
            "status": cancelled["status"],
            "reason": (cancelled["status_details"] or {}).get("reason"),
            "next_status": again["status"],
        },
        "history": history,
    }
    print(json.dumps(result))


asyncio.run(main())
