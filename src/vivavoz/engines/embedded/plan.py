"""Which model does which stage on this machine, where its files are, and how its process is started."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Literal

import msgspec

from vivavoz.engines.embedded.runtime import INSTALL, cores
from vivavoz.engines.multilingual.language import SPOKEN, base
from vivavoz.engines.multilingual.runtime import INSTALL as INSTALL_MULTILINGUAL
from vivavoz.engines.ports import EngineError, EngineStatus
from vivavoz.engines.process.child import Spec
from vivavoz.models import Located, ModelError, Store

Task = Literal["vad", "turn", "stt", "llm", "tts"]

TASKS: tuple[Task, ...] = ("vad", "turn", "stt", "llm", "tts")
"""The stages there are; all but ``vad`` run in processes of their own."""

VAD, TURN, STT, TTS = "silero-vad", "smart-turn-v3.2", "moonshine-tiny-en", "hibari"
WHISPER, KOKORO = "whisper-base", "kokoro"
"""In place of STT and TTS where more than English is spoken."""
LLM_DEMO, LLM_SMALL = "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct"
SMALL_LLM_CORES = 4
"""The larger model is never chosen by itself on fewer, unless English is not enough."""

_MODELS: dict[Task, tuple[str, ...]] = {
    "vad": (VAD,),
    "turn": (TURN,),
    "stt": (STT, WHISPER),
    "tts": (TTS, KOKORO),
}
"""What can do a stage, the default first; any language model of the catalogue can be the language model."""
_PACKAGES = {
    VAD: "onnxruntime",
    TURN: "onnxruntime",
    STT: "moonshine_voice",
    TTS: "hibari",
    WHISPER: "faster_whisper",
    KOKORO: "onnxruntime",
}
_LLM_PACKAGE = "xllamacpp"
_MOST_CORES = 4
"""More of them do not make a segment or a clause much faster."""
_NEEDED: frozenset[Task] = frozenset({"vad", "stt", "tts"})
"""Without these there is no conversation: the set does not start. The others may be absent."""


class EmbeddedOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be chosen. Thread counts of None follow the machine."""

    stages: tuple[Task, ...] = TASKS
    llm_model: str | None = None
    """A model of the catalogue. None: the 0.5B, or the 1.5B where it is here and there are 4 cores."""
    llm_threads: int | None = None
    """None: all cores but one, which voice activity, recognition and voice need meanwhile."""
    llm_context: int = 4096
    """Tokens of one conversation; older items are left out when it grows longer."""
    llm_parallel: int = 2
    """Replies generated at the same time; further ones wait."""
    llm_max_tokens: int = 320
    """The longest reply."""
    llm_tools: bool | None = None
    """Whether the model is offered the session's functions. None: not where it is of demo quality."""
    stt_model: str | None = None
    """``moonshine-tiny-en`` or ``whisper-base``; None: the former."""
    stt_threads: int | None = None
    """Utterances recognised at the same time, each with a copy of the model (about 115 MB); with Whisper:
    cores that work on one."""
    stt_language: str | None = None
    """Of sessions that name none (ISO 639-1). None: found out for each utterance. English models have one."""
    tts_model: str | None = None
    """``hibari`` or ``kokoro``; None: the former."""
    tts_threads: int | None = None
    """Clauses spoken at the same time; with Kokoro: cores that work on one."""
    tts_language: str | None = None
    """Of all that is said. None: told from each clause."""
    max_jobs: int = 64
    """Jobs that one engine process accepts at a time; more are refused (``engine_busy``)."""
    nice: int = 5
    """Added to the priority number of the engine processes."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One stage: ``spec`` where a process does it, ``path`` where the worker itself does (vad), neither where
    it is absent (then ``detail`` says why, and what mends it)."""

    task: Task
    name: str
    quality: str | None = None
    detail: str | None = None
    spec: Spec | None = None
    path: Path | None = None

    @property
    def present(self) -> bool:
        return self.spec is not None or self.path is not None

    def status(
        self, state: Literal["loading", "ready", "failed", "absent"], detail: str = ""
    ) -> EngineStatus:
        return EngineStatus(
            task=self.task, name=self.name, state=state, quality=self.quality, detail=detail or self.detail
        )


def plan(options: EmbeddedOptions, store: Store) -> dict[Task, Planned]:
    """Look for packages and model files of every stage in ``options``.

    Blocking: files that were never verified are hashed. Raises EngineError (``engine_absent``) where the
    voice activity detector, the recogniser or the voice is missing, naming the command that mends it, and
    (``bad_engine_set``) where a model cannot do the stage that it is named for.
    """
    planned = {task: _stage(task, options, store) for task in TASKS if task in options.stages}
    for task, stage in planned.items():
        if task in _NEEDED and not stage.present:
            raise EngineError(stage.detail or f"{stage.name} is missing", "engine_absent")
    return planned


def languages_of(options: EmbeddedOptions) -> tuple[str, ...]:
    """What the embedded voice can say (ISO 639-1)."""
    if _choose("tts", options) != KOKORO:
        return ("en",)
    return (base(options.tts_language),) if options.tts_language else SPOKEN


def _stage(task: Task, options: EmbeddedOptions, store: Store) -> Planned:
    name = _choose_llm(options, store) if task == "llm" else _choose(task, options)
    package = _PACKAGES.get(name, _LLM_PACKAGE)
    if importlib.util.find_spec(package) is None:
        install = INSTALL_MULTILINGUAL if name in (WHISPER, KOKORO) else INSTALL
        missing = f"the package {package} is not installed; install it with: {install}"
        return Planned(task=task, name=name, detail=missing)
    try:
        located = store.locate(name)
        model = located.model
        quality = model.quality
        if task == "vad":
            return Planned(task=task, name=name, quality=quality, path=located.path())
        spec = _spec(task, located, options, store)
    except ModelError as error:
        return Planned(task=task, name=name, detail=error.message)
    return Planned(task=task, name=name, quality=quality, detail=model.note, spec=spec)


def _choose(task: Task, options: EmbeddedOptions) -> str:
    there_are = _MODELS[task]
    named: str | None = getattr(options, f"{task}_model", None)
    if named is not None and named not in there_are:
        raise EngineError(
            f"{named} cannot be the {task} engine; {' or '.join(there_are)} can", "bad_engine_set"
        )
    return named or there_are[0]


def _choose_llm(options: EmbeddedOptions, store: Store) -> str:
    if options.llm_model is not None:
        return options.llm_model
    if cores() >= SMALL_LLM_CORES:
        try:
            store.locate(LLM_SMALL)
        except ModelError:
            return LLM_DEMO
        return LLM_SMALL
    return LLM_DEMO


def _spec(task: Task, located: Located, options: EmbeddedOptions, store: Store) -> Spec:
    path = str(located.path())
    several = 2 if cores() >= SMALL_LLM_CORES else 1
    package = "vivavoz.engines.embedded"
    arguments: dict[str, Any] = {"path": path}
    match task:
        case "stt" if located.model.name == WHISPER:
            factory = "vivavoz.engines.multilingual.whisper:WhisperStt"
            arguments = {
                "model": _directory(located),
                "vad": str(store.locate(VAD).path()),
                "threads": options.stt_threads or min(_MOST_CORES, cores()),
                "language": options.stt_language,
            }
        case "tts" if located.model.name == KOKORO:
            factory = "vivavoz.engines.multilingual.kokoro:KokoroTts"
            arguments = {
                "model": path,
                "voices": {
                    Path(name).stem: str(p) for name, p in located.files.items() if name.endswith(".bin")
                },
                "threads": options.tts_threads or min(_MOST_CORES, cores()),
                "language": options.tts_language,
            }
        case "turn":
            factory = f"{package}.smart_turn:SmartTurn"
        case "stt":
            factory = f"{package}.moonshine:MoonshineStt"
            vad = str(store.locate(VAD).path())
            arguments = {"model": _directory(located), "vad": vad, "threads": options.stt_threads or several}
        case "tts":
            factory = f"{package}.hibari_tts:HibariTts"
            arguments = {"model": path, "threads": options.tts_threads or several}
        case _:
            demo = located.model.quality == "demo"
            factory = f"{package}.llama:LlamaLlm"
            arguments = {
                "model": path,
                "threads": options.llm_threads or max(1, cores() - 1),
                "context": options.llm_context,
                "parallel": options.llm_parallel,
                "max_tokens": options.llm_max_tokens,
                "tools": not demo if options.llm_tools is None else options.llm_tools,
            }
    return Spec(name=task, factory=factory, options=arguments, max_jobs=options.max_jobs, nice=options.nice)


def _directory(located: Located) -> str:
    """The one folder that holds all files of a model whose library wants a folder."""
    folders = {path.parent for path in located.files.values()}
    if len(folders) != 1:
        name = located.model.name
        raise ModelError(
            f"the files of {name} lie in different folders; "
            f"bring them together with `vivavoz models fetch {name}`"
        )
    return str(folders.pop())
