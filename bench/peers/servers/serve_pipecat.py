"""Pipecat's SmallWebRTC transport with the smallest bot there is: one that counts what it hears, and speaks a
tone or says what it heard. The transport's parameters are its defaults, but for 24 kHz and no RTVI."""

from __future__ import annotations

import asyncio
from typing import Any

from common import RATE, main, only_loopback, tone
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

_AHEAD_S = 1.0


class Pipecat:
    def __init__(self, echo: bool) -> None:
        only_loopback()
        logger.remove()
        self.heard = 0.0
        self.second = tone(1.0)
        self._echo = echo
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None: ...

    async def answer(self, offer: str) -> str:
        connection = SmallWebRTCConnection()
        await connection.initialize(offer, "offer")
        self._keep(self._run(connection))
        answer = connection.get_answer()
        assert answer is not None
        return str(answer["sdp"])

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, connection: SmallWebRTCConnection) -> None:
        params = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=RATE,
            audio_out_sample_rate=RATE,
        )
        transport = SmallWebRTCTransport(connection, params)
        bot = Bot(self, self._echo)
        worker = PipelineWorker(
            Pipeline([transport.input(), bot, transport.output()]),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
            idle_timeout_secs=None,
            enable_rtvi=False,
            enable_turn_tracking=False,
        )
        speaking: list[asyncio.Task[None]] = []

        @transport.event_handler("on_client_connected")
        async def connected(transport: object, client: object) -> None:
            if not self._echo and not speaking:
                speaking.append(self._keep(self._speak(worker)))

        @transport.event_handler("on_client_disconnected")
        async def disconnected(transport: object, client: object) -> None:
            for task in speaking:
                task.cancel()
            await worker.cancel()

        @transport.event_handler("on_app_message")
        async def message(transport: object, message: Any, sender: str) -> None:
            connection.send_app_message(message)

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    async def _speak(self, worker: PipelineWorker) -> None:
        while True:
            await worker.queue_frame(OutputAudioRawFrame(self.second, RATE, 1))
            await asyncio.sleep(_AHEAD_S)


class Bot(FrameProcessor):  # type: ignore[misc]
    def __init__(self, server: Pipecat, echo: bool) -> None:
        super().__init__()
        self._server = server
        self._echoes = echo

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self._server.heard += len(frame.audio) / 2 / frame.num_channels / frame.sample_rate
            if self._echoes:
                said = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
                await self.push_frame(said, direction)
            return
        await self.push_frame(frame, direction)


if __name__ == "__main__":
    main(Pipecat)
