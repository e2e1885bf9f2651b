"""Runs in an environment of its own: the official Python SDK, unmodified, talking to a service.

    python sdk_client.py URL KEY_OR_SECRET WAV [--minted | --azure key|token]

Prints one JSON object: for each part the types of the events in order and what was said. Every event is
checked strictly against the SDK's own types; a misfit ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
import wave

from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

CHUNK_MS = 40
AHEAD_MS = 600
"""Enough to be heard as speech."""
CUT_MS = 300
LONG = (
    "Count to 90, one by one, and leave none out.",
    "Tell me a long story about a fox and a bear, in many sentences.",
    "Describe every month of the year, from January on, with two sentences for each.",
    "Recite the alphabet, and for each letter name three animals.",
    "Explain at great length how a house is built, step by step.",
)
"""Questions that a small model should have much to say about."""
SCRIPTED = ("Count to 900, one by one, and leave none out.",)
"""A script's answer is as long as it says."""
TURN_S = 60
SERVER_EVENT = TypeAdapter(RealtimeServerEvent)


class Misfit(Exception):
    """An event that the SDK's types do not describe."""


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.seen = []

    async def next(self):
        raw = await asyncio.wait_for(self.connection.recv_bytes(), TURN_S)
        try:
            event = SERVER_EVENT.validate_json(raw, strict=True)
        except ValueError as error:
            raise Misfit(f"{raw[:2000]!r}: {error}") from None
        if event.type == "error":
            raise Misfit(f"the service reported: {event.error}")
        self.seen.append(event)
        return event

    async def until(self, kind):
        while True:
            event = await self.next()
            if event.type == kind:
                return event

    def part(self):
        """What was seen since the last part."""
        seen, self.seen = self.seen, []
        return seen


def summary(events, **more):
    audio = sum(len(base64.b64decode(e.delta)) for e in events if e.type == "response.output_audio.delta")
    return {"types": [event.type for event in events], "audio_ms": audio // 48, **more}


async def text_turn(client):
    await client.connection.conversation.item.create(
        item={
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Please say something about the sea."}],
        }
    )
    await client.connection.response.create()
    done = await client.until("response.done")
    said = [part.transcript for item in done.response.output for part in item.content]
    return summary(client.part(), status=done.response.status, said=" ".join(said))


async def tool_call(client):
    parameters = {"type": "object", "properties": {"city": {"enum": ["Lisbon"]}}, "required": ["city"]}
    tool = {"type": "function", "name": "get_weather", "description": "", "parameters": parameters}
    await client.connection.session.update(session={"type": "realtime", "tools": [tool]})
    await client.until("session.updated")
    content = [{"type": "input_text", "text": "Please get_weather for Lisbon."}]
    await client.connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": content}
    )
    await client.connection.response.create()
    call = await client.until("response.function_call_arguments.done")
    await client.until("response.done")
    await client.connection.conversation.item.create(
        item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    )
    await client.connection.response.create()
    done = await client.until("response.done")
    said = [part.transcript for item in done.response.output for part in item.content]
    await client.connection.session.update(session={"type": "realtime", "tools": []})
    await client.until("session.updated")
    return summary(client.part(), name=call.name, arguments=json.loads(call.arguments), said=" ".join(said))


async def speak(client, pcm, stop, ahead_ms=0):
    """Send sound at the pace of a microphone, `ahead_ms` of it at once, and silence until `stop` is set."""
    step = CHUNK_MS * 48
    start = time.monotonic() - ahead_ms / 1000
    sent = 0
    while not stop.is_set():
        chunk = pcm[sent : sent + step]
        await client.connection.input_audio_buffer.append(
            audio=base64.b64encode(chunk + bytes(step - len(chunk))).decode()
        )
        sent += step
        await asyncio.sleep(max(0, start + sent / 48000 - time.monotonic()))


async def spoken_turn(client, pcm):
    await client.connection.session.update(
        session={
            "type": "realtime",
            "audio": {
                "input": {
                    "transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
                }
            },
        }
    )
    await client.until("session.updated")
    client.part()
    stop = asyncio.Event()
    speaking = asyncio.create_task(speak(client, pcm, stop))
    heard = None
    done = None
    while heard is None or done is None:
        event = await client.next()
        if event.type == "conversation.item.input_audio_transcription.completed":
            heard = event.transcript
        if event.type == "response.done":
            done = event.response
    stop.set()
    await speaking
    said = [part.transcript for item in done.output for part in item.content]
    return summary(client.part(), status=done.status, heard=heard, said=" ".join(said))


async def interruption(client, pcm, questions):
    """A long answer, and somebody who speaks into it; the client truncates, as on WebSocket it must.

    How long an answer is, its model decides: one that was complete before the caller was heard was not
    interrupted, and the next question is asked.
    """
    for question in questions:
        result = await interrupted(client, pcm, question)
        if result is not None:
            return result
    raise Misfit(f"each of {len(questions)} answers was complete before the caller was heard speaking")


async def interrupted(client, pcm, question):
    """None where the answer was complete too early; what the caller said is answered then, too."""
    content = [{"type": "input_text", "text": question}]
    await client.connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": content}
    )
    await client.connection.response.create()
    asked = (await client.until("response.created")).response.id
    before = len(client.seen)
    sound = 0
    while sound < CUT_MS * 48 and client.seen[-1].type != "response.done":
        event = await client.next()
        if event.type == "response.output_audio.delta":
            item, sound = event.item_id, sound + len(base64.b64decode(event.delta))
    stop = asyncio.Event()
    speaking = asyncio.create_task(speak(client, pcm, stop, ahead_ms=AHEAD_MS))
    await client.until("input_audio_buffer.speech_started")
    over = [event for event in client.seen[before:] if event.type == "response.done"]
    if over:
        # The only response there was, and it ran its course.
        ended = over[0].response
        if ended.id != asked or ended.status not in ("completed", "incomplete"):
            raise Misfit(f"nobody had spoken yet, but {ended.id} is {ended.status}")
    else:
        cancelled = await client.until("response.done")
        if cancelled.response.id != asked:
            raise Misfit(f"{asked} was interrupted, but {cancelled.response.id} ended")
        await client.connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=CUT_MS)
        cut = await client.until("conversation.item.truncated")
    again = await client.until("response.done")
    stop.set()
    await speaking
    if over:
        return None
    details = cancelled.response.status_details
    return summary(
        client.part(),
        status=cancelled.response.status,
        reason=details.reason if details else None,
        cut_ms=cut.audio_end_ms,
        next_status=again.response.status,
    )


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("url")
    options.add_argument("key")
    options.add_argument("wav")
    options.add_argument("--minted", action="store_true", help="connect with a client secret")
    options.add_argument("--azure", choices=["key", "token"], help="connect as Azure's client does")
    options.add_argument("--scripted", action="store_true", help="have a tool called, and a long answer cut")
    options.add_argument("--model", default="gpt-realtime")
    given = options.parse_args()
    with wave.open(given.wav) as file:
        pcm = file.readframes(file.getnframes())

    sdk = AsyncOpenAI(api_key=given.key, base_url=given.url)
    if given.minted:
        secret = await sdk.realtime.client_secrets.create(
            session={"type": "realtime", "model": "gpt-realtime"}
        )
        sdk = AsyncOpenAI(api_key=secret.value, base_url=given.url)
    if given.azure == "key":
        sdk = AsyncAzureOpenAI(azure_endpoint=given.url, api_key=given.key, api_version="2025-08-28")
    if given.azure == "token":
        sdk = AsyncAzureOpenAI(
            azure_endpoint=given.url, azure_ad_token_provider=lambda: given.key, api_version="2025-08-28"
        )
    async with sdk.realtime.connect(model=given.model) as connection:
        client = Client(connection)
        await client.until("session.created")
        result = {
            "first": summary(client.part()),
            "text": await text_turn(client),
            # What a model makes of a tool is its own affair: a script calls it.
            "tool": await tool_call(client) if given.scripted else None,
            "spoken": await spoken_turn(client, pcm),
            "interruption": await interruption(client, pcm, SCRIPTED if given.scripted else LONG),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Misfit as misfit:
        print(misfit, file=sys.stderr)
        sys.exit(1)
