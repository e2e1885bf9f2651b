"""Runs in an environment of its own: pipecat's service for the Realtime API, unmodified, in a pipeline.

    python pipecat_client.py URL KEY WAV

The pipeline is that of pipecat's own example, with a queue at its end in place of a transport. Prints one
JSON object: what was said, which tool was called, and how an interruption went.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import wave

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

CHUNK_MS = 40
RATE = 24_000
ENDS_WITHIN_S = 180

logger.remove()
logger.add(sys.stderr, level="WARNING")


class Watch(FrameProcessor):
    """Keeps what passes by, in either direction."""

    def __init__(self):
        super().__init__()
        self.frames = asyncio.Queue()
        self.errors = []

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            self.errors.append(str(frame.error))
        elif direction == FrameDirection.DOWNSTREAM:
            self.frames.put_nowait(frame)
        await self.push_frame(frame, direction)

    async def until(self, kind):
        """Everything up to the next frame of this kind."""
        passed = []
        while not passed or not isinstance(passed[-1], kind):
            passed.append(await self.frames.get())
        return passed


def words(frames):
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


async def speak(worker, pcm):
    """Queue sound at the pace of a microphone, then silence, until cancelled."""
    step = CHUNK_MS * 48
    start = time.monotonic()
    sent = 0
    while True:
        chunk = pcm[sent : sent + step]
        await worker.queue_frame(
            InputAudioRawFrame(audio=chunk + bytes(step - len(chunk)), sample_rate=RATE, num_channels=1)
        )
        sent += step
        await asyncio.sleep(max(0, start + sent / 48000 - time.monotonic()))


async def main():
    url, key, path = sys.argv[1:]
    with wave.open(path) as file:
        pcm = file.readframes(file.getnframes())

    properties = events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(transcription=events.InputAudioTranscription(model="whisper-1"))
        )
    )
    service = OpenAIRealtimeLLMService(
        api_key=key,
        base_url=url,
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime", system_instruction="Be brief.", session_properties=properties
        ),
    )
    asked = []
    statuses = []

    async def get_weather(params):
        asked.append((params.function_name, dict(params.arguments)))
        await params.result_callback("sunny")

    service.register_function("get_weather", get_weather)
    weather = FunctionSchema(
        name="get_weather",
        description="The weather.",
        properties={"city": {"type": "string", "enum": ["Lisbon"]}},
        required=["city"],
    )
    # What pipecat makes of a response is in its frames, but not how it ended: listen in, and pass on.
    handle_done = service._handle_evt_response_done

    async def note_done(event):
        statuses.append([event.response.status, (event.response.status_details or {}).get("reason")])
        await handle_done(event)

    service._handle_evt_response_done = note_done

    context = LLMContext([{"role": "user", "content": "Good evening."}], ToolsSchema([weather]))
    user, assistant = LLMContextAggregatorPair(context)
    watch = Watch()
    worker = PipelineWorker(Pipeline([user, service, watch, assistant]), cancel_on_idle_timeout=False)
    ready = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def started(*_):
        ready.set()

    async def converse():
        await ready.wait()
        await worker.queue_frame(LLMRunFrame())
        said = words(await watch.until(LLMFullResponseEndFrame))

        async def ask(text):
            content = [events.ItemContent(type="input_text", text=text)]
            item = events.ConversationItem(type="message", role="user", content=content)
            await service.send_client_event(events.ConversationItemCreateEvent(item=item))
            await service.send_client_event(events.ResponseCreateEvent())

        await ask("Please get_weather for Lisbon.")
        await watch.until(LLMFullResponseEndFrame)
        told = words(await watch.until(TTSStoppedFrame))

        speaking = asyncio.create_task(speak(worker, pcm))
        spoken = await watch.until(TTSStoppedFrame)
        speaking.cancel()
        sound = sum(len(frame.audio) for frame in spoken if isinstance(frame, TTSAudioRawFrame))

        await ask("Count to 900, one by one, and leave none out.")
        await watch.until(TTSAudioRawFrame)
        before = len(statuses)
        speaking = asyncio.create_task(speak(worker, pcm))
        await watch.until(InterruptionFrame)
        while len(statuses) < before + 2:
            await watch.frames.get()
        speaking.cancel()
        await worker.queue_frame(EndFrame())
        (name, arguments), *_ = asked
        # The context holds what its aggregators made of the conversation: the first line, and speech.
        _, heard, *_ = [m["content"] for m in context.messages if m["role"] == "user"]
        return {
            "errors": watch.errors,
            "text": {"said": said},
            # It sends a tool's result as JSON, so a word comes back in quotes.
            "tool": {"name": name, "arguments": arguments, "said": told.replace('"', "")},
            "spoken": {"heard": heard, "said": words(spoken), "audio_ms": sound / 48},
            "interruption": {
                "status": statuses[before][0],
                "reason": statuses[before][1],
                "next_status": statuses[before + 1][0],
            },
            "statuses": statuses,
        }

    async with asyncio.timeout(ENDS_WITHIN_S):
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        _, result = await asyncio.gather(runner.run(), converse())
    print(json.dumps(result))


asyncio.run(main())
