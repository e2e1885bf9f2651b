"""How the set ``multilingual`` becomes processes, and what it says where something is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from vivavoz.config import Config
from vivavoz.engines import build
from vivavoz.engines.embedded import plan as planning
from vivavoz.engines.embedded.plan import KOKORO, LLM_DEMO, LLM_SMALL, WHISPER, EmbeddedOptions, plan
from vivavoz.engines.ports import EngineError
from vivavoz.engines.spec import EmbeddedStage, EngineSet
from vivavoz.models import Located, ModelMissing, Store

HERE = ("silero-vad", "smart-turn-v3.2", WHISPER, KOKORO)
OPTIONS = EmbeddedOptions(stt_model=WHISPER, tts_model=KOKORO)


class Shelf(Store):
    """A store that has the given models, without their files."""

    def __init__(self, *names: str) -> None:
        super().__init__(cache=Path("/nowhere"), local=[])
        self._names = names

    def locate(self, name: str) -> Located:
        model = self.catalogue.get(name)
        if name not in self._names:
            raise ModelMissing(f"{name} is not here. Get it with `vivavoz models fetch {name}`.")
        return Located(model, {file.name: Path("/shelf") / name / file.name for file in model.files})


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Packages that count as not installed; all others are."""
    missing: set[str] = set()
    stub: Any = object()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else stub)
    monkeypatch.setattr(planning, "cores", lambda: 2)
    return missing


def test_the_set_needs_no_configuration() -> None:
    chosen = Config(script="mine.toml").engine_set("multilingual")
    assert chosen.stage("stt") == EmbeddedStage(model=WHISPER)
    assert chosen.stage("tts") == EmbeddedStage(model=KOKORO)
    assert chosen.stage("vad") == chosen.stage("turn") == chosen.stage("llm") == "embedded"
    assert chosen.script == "mine.toml"
    assert build._embedded_options(chosen) == OPTIONS


def test_a_language_is_handed_on() -> None:
    chosen = EngineSet(
        stt=EmbeddedStage(model=WHISPER, language="pt"),
        tts=EmbeddedStage(model=KOKORO, language="pt-BR", threads=3),
    )
    options = build._embedded_options(chosen)
    assert (options.stt_language, options.tts_language, options.tts_threads) == ("pt", "pt-BR", 3)
    with pytest.raises(EngineError, match="llm has no language"):
        build._embedded_options(EngineSet(llm=EmbeddedStage(language="pt")))


def test_whisper_and_kokoro_in_processes_of_their_own() -> None:
    planned = plan(OPTIONS, Shelf(*HERE, LLM_DEMO))
    stt, tts = planned["stt"].spec, planned["tts"].spec
    assert stt is not None
    assert tts is not None
    assert stt.factory == "vivavoz.engines.multilingual.whisper:WhisperStt"
    assert stt.options["model"] == "/shelf/whisper-base"
    assert stt.options["language"] is None
    assert tts.factory == "vivavoz.engines.multilingual.kokoro:KokoroTts"
    assert set(tts.options["voices"]) == {"pf_dora", "pm_alex", "af_heart", "am_michael"}
    assert tts.options["threads"] == 2


@pytest.mark.parametrize(("cores", "chosen"), [(2, LLM_DEMO), (4, LLM_SMALL)])
def test_the_larger_language_model_is_never_taken_unasked_on_a_small_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, chosen: str
) -> None:
    monkeypatch.setattr("vivavoz.engines.embedded.plan.cores", lambda: cores)
    assert plan(OPTIONS, Shelf(*HERE, LLM_DEMO, LLM_SMALL))["llm"].name == chosen


def test_without_a_language_model_the_rest_is_served() -> None:
    assert not plan(OPTIONS, Shelf(*HERE))["llm"].present


def test_a_missing_package_is_named_with_its_own_extra(packages: set[str]) -> None:
    packages.add("faster_whisper")
    with pytest.raises(EngineError, match=r"faster_whisper.*pip install 'vivavoz\[multilingual\]'"):
        plan(OPTIONS, Shelf(*HERE))


@pytest.mark.parametrize("missing", [WHISPER, KOKORO])
def test_a_missing_model_is_named_with_the_command(missing: str) -> None:
    with pytest.raises(EngineError, match=f"vivavoz models fetch {missing}"):
        plan(OPTIONS, Shelf(*(name for name in HERE if name != missing)))


def test_a_model_does_only_what_it_can() -> None:
    with pytest.raises(
        EngineError, match="kokoro cannot be the stt engine; moonshine-tiny-en or whisper-base can"
    ):
        plan(EmbeddedOptions(stt_model=KOKORO), Shelf(*HERE))
