"""From a written-down set (:mod:`vivavoz.engines.spec`) to engines. Nothing is loaded here, and nothing is
imported that the set does not need."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivavoz.engines.cascade import CascadeTranslator
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
)
from vivavoz.engines.spec import EmbeddedStage, EngineSet, RemoteStage

if TYPE_CHECKING:
    from vivavoz.engines.embedded.engines import EngineProcesses
    from vivavoz.engines.embedded.plan import EmbeddedOptions
    from vivavoz.engines.scripted import Script

EMBEDDED_PACKAGES = ("onnxruntime", "xllamacpp", "moonshine_voice", "hibari")
STAGES = ("vad", "turn", "stt", "llm", "tts")


def missing_embedded_packages() -> list[str]:
    """Packages of the embedded set that are not installed here."""
    return [name for name in EMBEDDED_PACKAGES if importlib.util.find_spec(name) is None]


def resolve_default(name: str) -> str:
    """What ``auto`` means on this machine; any other name is itself."""
    if name != "auto":
        return name
    return "scripted" if missing_embedded_packages() else "embedded"


def build_engines(spec: EngineSet, *, sockets: Path | None = None) -> Engines:
    """The engines of a set, not started. ``sockets``: the folder of the sockets of engine processes that
    somebody else owns (:func:`shared_processes`); None: the set owns the ones it needs.

    Raises EngineError where the set cannot be made: a package is missing, or a script cannot be read.
    """
    kinds = {name: spec.stage(name) for name in STAGES}
    if all(kind == "scripted" for kind in kinds.values()):
        return _scripted(spec)
    parts: dict[str, Engines] = {}
    if "scripted" in kinds.values():
        parts["scripted"] = _scripted(spec)
    if embedded := _embedded_stages(spec):
        parts["embedded"] = _embedded(spec, sockets)
        if len(embedded) == len(STAGES):
            return parts["embedded"]
    remote = {name: stage for name, stage in kinds.items() if isinstance(stage, RemoteStage)}
    return ComposedEngines(spec, parts, _remote(remote))


def shared_processes(spec: EngineSet) -> EngineProcesses | None:
    """The engine processes of a set, for a parent that owns them for several workers; None: it has none."""
    stages = _embedded_stages(spec)
    if not set(stages) - {"vad"}:
        return None
    from vivavoz.engines.embedded.engines import EngineProcesses

    return EngineProcesses(_embedded_options(spec))


def _scripted(spec: EngineSet) -> Engines:
    from vivavoz.engines.scripted import ScriptedEngines

    return ScriptedEngines(_script(spec))


def _script(spec: EngineSet) -> Script:
    from vivavoz.engines.scripted import Script, ScriptError

    if spec.script is None:
        return Script.default()
    try:
        return Script.load(Path(spec.script))
    except (ScriptError, OSError) as error:
        raise EngineError(f"the script {spec.script} cannot be used: {error}", "bad_script") from error


def _embedded_stages(spec: EngineSet) -> tuple[str, ...]:
    kinds = {name: spec.stage(name) for name in STAGES}
    return tuple(
        name for name, kind in kinds.items() if kind == "embedded" or isinstance(kind, EmbeddedStage)
    )


def _embedded_options(spec: EngineSet) -> EmbeddedOptions:
    from vivavoz.engines.embedded.plan import EmbeddedOptions

    chosen: dict[str, Any] = {"stages": _embedded_stages(spec)}
    for name in ("stt", "llm", "tts"):
        stage = spec.stage(name)
        if not isinstance(stage, EmbeddedStage):
            continue
        if stage.threads is not None:
            chosen[f"{name}_threads"] = stage.threads
        if stage.model is not None:
            if f"{name}_model" not in EmbeddedOptions.__struct_fields__:
                raise EngineError(f"the model of the embedded {name} cannot be chosen", "bad_engine_set")
            chosen[f"{name}_model"] = stage.model
        if stage.language is not None:
            if f"{name}_language" not in EmbeddedOptions.__struct_fields__:
                raise EngineError(f"the embedded {name} has no language to choose", "bad_engine_set")
            chosen[f"{name}_language"] = stage.language
    return EmbeddedOptions(**chosen)


def _embedded(spec: EngineSet, sockets: Path | None) -> Engines:
    from vivavoz.engines.embedded.engines import EmbeddedEngines
    from vivavoz.engines.scripted import ScriptedEngines

    # Without a language model it answers from the script, and says so: better than posing as an assistant.
    fallback = ScriptedEngines(_script(spec)) if "llm" in _embedded_stages(spec) else None
    return EmbeddedEngines(_embedded_options(spec), directory=sockets, fallback=fallback)


class _Remote:
    """The remote stages of one set, and how to close them."""

    def __init__(self) -> None:
        self.stt: Stt | None = None
        self.llm: Llm | None = None
        self.tts: Tts | None = None
        self.rows: dict[str, EngineStatus] = {}
        self.closing: list[Callable[[], Awaitable[None]]] = []


def _remote(stages: dict[str, RemoteStage]) -> _Remote:
    made = _Remote()
    if not stages:
        return made
    from vivavoz.engines.remote import RemoteLlm, RemoteStt, RemoteTts

    if stage := stages.get("stt"):
        made.stt = stt = RemoteStt(stage)
        made.closing.append(stt.close)
        made.rows["stt"] = EngineStatus(task="stt", name=stage.model, state="ready", detail=stage.base_url)
    if stage := stages.get("llm"):
        made.llm = llm = RemoteLlm(stage)
        made.closing.append(llm.close)
        made.rows["llm"] = EngineStatus(task="llm", name=stage.model, state="ready", detail=stage.base_url)
    if stage := stages.get("tts"):
        made.tts = tts = RemoteTts(stage)
        made.closing.append(tts.close)
        made.rows["tts"] = EngineStatus(task="tts", name=stage.model, state="ready", detail=stage.base_url)
    return made


class ComposedEngines(Engines):
    """Stages from several sets side by side. The attributes are there once ``start`` has returned."""

    vad: Vad
    turn: TurnDetector | None = None
    stt: Stt | None = None
    llm: Llm | None = None
    tts: Tts | None = None
    speech_to_speech: SpeechToSpeech | None = None

    def __init__(self, spec: EngineSet, parts: dict[str, Engines], remote: _Remote) -> None:
        self._spec = spec
        self._parts = parts
        self._remote = remote

    def _take(self) -> ComposedEngines:
        """Pick each stage from its part, which has it by now."""
        vad, turn, stt, llm, tts = (self._part(name) for name in STAGES)
        assert vad is not None, "the stage vad has no 'none'"
        self.vad = vad.vad
        self.turn = turn.turn if turn else None
        self.stt = self._remote.stt or (stt.stt if stt else None)
        self.llm = self._remote.llm or (llm.llm if llm else None)
        self.tts = self._remote.tts or (tts.tts if tts else None)
        return self

    def _part(self, stage: str) -> Engines | None:
        kind = self._spec.stage(stage)
        if isinstance(kind, EmbeddedStage):
            kind = "embedded"
        return self._parts.get(kind) if isinstance(kind, str) else None

    @property
    def translator(self) -> Translator | None:
        """The stages of this set, one after the other; scripted where all three are."""
        if all(self._spec.stage(name) == "scripted" for name in ("stt", "llm", "tts")):
            return self._parts["scripted"].translator
        return CascadeTranslator.of(self.stt, self.llm, self.tts)

    def for_call(self) -> ComposedEngines:
        parts = {name: part.for_call() for name, part in self._parts.items()}
        return ComposedEngines(self._spec, parts, self._remote)._take()

    async def start(self) -> None:
        for part in self._parts.values():
            await part.start()
        self._take()

    async def stop(self) -> None:
        for part in self._parts.values():
            await part.stop()
        for close in self._remote.closing:
            await close()

    def status(self) -> list[EngineStatus]:
        rows: list[EngineStatus] = []
        for stage in STAGES:
            if stage in self._remote.rows:
                rows.append(self._remote.rows[stage])
                continue
            part = self._part(stage)
            rows += [row for row in (part.status() if part else ()) if row.task == stage]
        return rows
