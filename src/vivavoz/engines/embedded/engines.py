"""The embedded engines as one set: the processes that a parent owns, and a worker's view of them."""

from __future__ import annotations

import asyncio
import copy
import logging
from pathlib import Path

from vivavoz.engines.cascade import CascadeTranslator
from vivavoz.engines.embedded.plan import TTS, EmbeddedOptions, Planned, Task, languages_of, plan
from vivavoz.engines.embedded.silero import SileroVad
from vivavoz.engines.embedded.tokens import SPARE
from vivavoz.engines.ports import (
    EngineError,
    Engines,
    EngineStatus,
    Llm,
    SpeechToSpeech,
    Stt,
    Translator,
    Tts,
    TurnDetector,
    Vad,
    Window,
)
from vivavoz.engines.process.adapters import ProcessLlm, ProcessStt, ProcessTts, ProcessTurnDetector
from vivavoz.engines.process.client import EngineClient, Timing
from vivavoz.engines.process.supervisor import Supervisor
from vivavoz.models import Store

log = logging.getLogger(__name__)

LOADING_S = 120.0
"""How long loading may take on a slow disk."""


class EngineProcesses:
    """The engine processes of this machine; one owner, any number of workers."""

    def __init__(
        self,
        options: EmbeddedOptions | None = None,
        *,
        store: Store | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._options = options or EmbeddedOptions()
        self._store = store
        self._timing = timing
        self._supervisor: Supervisor | None = None

    @property
    def supervisor(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the engine processes are not started")
        return self._supervisor

    @property
    def directory(self) -> Path:
        """The directory of the sockets: what workers are given. There from ``start`` to ``stop``."""
        return self.supervisor.directory

    async def start(self) -> None:
        """Find the models and start the processes, which load meanwhile. Raises EngineError."""
        store = self._store or Store()
        planned = await asyncio.to_thread(plan, self._options, store)
        specs = [stage.spec for stage in planned.values() if stage.spec is not None]
        supervisor = Supervisor(specs, self._timing)
        await supervisor.start()
        self._supervisor = supervisor

    async def settled(self) -> None:
        """Returns when every process is ready or has said why it is not. Raises EngineError after 2 min."""
        await self.supervisor.settled(LOADING_S)

    async def stop(self) -> None:
        """End all processes; nothing of them stays."""
        if self._supervisor is not None:
            await self._supervisor.stop()
            self._supervisor = None


class EmbeddedEngines:
    """Port ``Engines``.

    With ``directory`` (of :class:`EngineProcesses` in the parent) it is one worker's view of shared
    processes; without, it owns processes of its own. Where there is no language model, ``llm`` is
    ``fallback``'s (each call's own) and the status says so.
    """

    vad: Vad
    """There from ``start`` on."""

    def __init__(
        self,
        options: EmbeddedOptions | None = None,
        *,
        directory: Path | None = None,
        fallback: Engines | None = None,
        store: Store | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._options = options or EmbeddedOptions()
        self._store = store
        self._timing = timing
        self._directory = directory
        self._owned: EngineProcesses | None = None
        self._planned: dict[Task, Planned] = {}
        self._clients: dict[Task, EngineClient] = {}
        self._fallback = fallback
        self._vad: SileroVad | None = None
        self.turn: TurnDetector | None = None
        self.stt: Stt | None = None
        self.llm: Llm | None = None
        self.tts: Tts | None = None
        self.speech_to_speech: SpeechToSpeech | None = None

    def for_call(self) -> EmbeddedEngines:
        """Itself, unless the fallback answers: that one may keep a place in its script for each call."""
        if self._fallback is None or isinstance(self.llm, ProcessLlm):
            return self
        view = copy.copy(self)
        view.llm = self._fallback.for_call().llm
        return view

    @property
    def translator(self) -> Translator | None:
        """Not where a script answers in place of the language model: it would translate nothing."""
        return CascadeTranslator.of(
            self.stt, self.llm if isinstance(self.llm, ProcessLlm) else None, self.tts
        )

    async def start(self) -> None:
        """Load and warm everything at once. Raises EngineError where recognition or voice cannot serve."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await asyncio.gather(*(client.stop() for client in self._clients.values()))
        self._clients.clear()
        if self._vad is not None:
            await self._vad.stop()
            self._vad = None
        if self._owned is not None:
            await self._owned.stop()
            self._owned = None

    def status(self) -> list[EngineStatus]:
        return [self._status(stage) for stage in self._planned.values()]

    async def _start(self) -> None:
        store = self._store or Store()
        self._planned = await asyncio.to_thread(plan, self._options, store)
        directory = self._directory
        if directory is None:
            self._owned = EngineProcesses(self._options, store=store, timing=self._timing)
            await self._owned.start()
            directory = self._owned.directory
        for task, stage in self._planned.items():
            socket = directory / f"{task}.sock"
            if stage.spec is not None and socket.exists():
                client = EngineClient(socket, task, self._timing)
                await client.start()
                self._clients[task] = client
        await asyncio.gather(self._start_vad(), *(self._settle(task) for task in self._clients))
        if self.llm is None and self._fallback is not None:
            self.llm = self._fallback.llm
        for stage in self._planned.values():
            if not stage.present:
                log.warning("no %s: %s", stage.task, stage.detail)

    async def _start_vad(self) -> None:
        if (stage := self._planned.get("vad")) is not None and stage.path is not None:
            vad = SileroVad(stage.path)
            await vad.start()
            self._vad = self.vad = vad

    async def _settle(self, task: Task) -> None:
        """Wait for one process; put its port in place where it is ready."""
        client = self._clients[task]
        state = await client.settled(LOADING_S)
        if state.state == "failed":
            if task in ("stt", "tts"):
                raise EngineError(state.message, state.code)
            log.error("no %s: %s", task, state.message)
            return
        match task:
            case "turn":
                self.turn = ProcessTurnDetector(client)
            case "stt":
                self.stt = ProcessStt(client)
            case "llm":
                options = self._options
                window = Window(tokens=options.llm_context - SPARE, output=options.llm_max_tokens)
                self.llm = ProcessLlm(client, window)
            case "tts":
                languages = languages_of(self._options)
                self.tts = ProcessTts(client, languages, quick=self._planned[task].name == TTS)

    def _status(self, stage: Planned) -> EngineStatus:
        if stage.task == "vad":
            return stage.status("ready" if self._vad is not None else "loading")
        client = self._clients.get(stage.task)
        if not stage.present:
            return stage.status("absent")
        state = client.state if client is not None else None
        if state is None:
            return stage.status("loading")
        return stage.status(state.state, state.message)
