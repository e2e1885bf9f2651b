"""From a written-down set to engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vivavoz.engines import build
from vivavoz.engines.build import build_engines, resolve_default, shared_processes
from vivavoz.engines.energy_vad import EnergyVad
from vivavoz.engines.ports import EngineError
from vivavoz.engines.remote import RemoteLlm
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.engines.spec import EmbeddedStage, EngineSet, RemoteStage

LLM = RemoteStage(base_url="http://127.0.0.1:9/v1", model="llama3")


def test_the_scripted_set() -> None:
    assert isinstance(build_engines(EngineSet(base="scripted")), ScriptedEngines)


async def test_a_remote_stage_among_scripted_ones() -> None:
    engines = build_engines(EngineSet(base="scripted", llm=LLM, turn="none"))
    await engines.start()
    try:
        assert isinstance(engines.llm, RemoteLlm)
        assert isinstance(engines.vad, EnergyVad)
        assert engines.turn is None
        assert engines.speech_to_speech is None
        rows = {row.task: row for row in engines.status()}
        assert rows["llm"].name == "llama3"
        assert rows["stt"].name == "scripted"
        assert "turn" not in rows
        one, other = engines.for_call(), engines.for_call()
        # Models are shared, places in a script are not.
        assert one.llm is other.llm
        assert one.stt is not other.stt
    finally:
        await engines.stop()


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("nonsense = [")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(EngineError, match=name):
            build_engines(EngineSet(base="scripted", script=str(tmp_path / name)))


def test_auto_is_what_this_machine_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "missing_embedded_packages", list)
    assert resolve_default("auto") == "embedded"
    monkeypatch.setattr(build, "missing_embedded_packages", lambda: ["xllamacpp"])
    assert resolve_default("auto") == "scripted"
    assert resolve_default("mine") == "mine"


def test_options_of_embedded_stages_are_handed_on() -> None:
    spec = EngineSet(llm=EmbeddedStage(model="qwen", threads=2), stt="scripted", tts=LLM)
    options: Any = build._embedded_options(spec)
    assert (options.llm_model, options.llm_threads) == ("qwen", 2)
    assert options.stages == ("vad", "turn", "llm")


def test_processes_are_shared_where_there_are_any() -> None:
    assert shared_processes(EngineSet(base="scripted")) is None
    assert shared_processes(EngineSet(base="scripted", vad="embedded")) is None
    assert shared_processes(EngineSet(base="embedded")) is not None
