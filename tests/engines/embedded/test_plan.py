"""What is missing is said with the command that mends it, and only what is needed stops the service."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from vivavoz.engines.embedded import plan as planning
from vivavoz.engines.embedded.engines import EmbeddedEngines
from vivavoz.engines.embedded.plan import LLM_DEMO, LLM_SMALL, EmbeddedOptions, plan
from vivavoz.engines.ports import EngineError
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.models import Located, ModelMissing, Store


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


SMALL = ("silero-vad", "smart-turn-v3.2", "moonshine-tiny-en", "hibari")


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Packages that count as not installed."""
    missing: set[str] = set()
    real = importlib.util.find_spec
    stub: Any = object()
    ours = {"onnxruntime", "moonshine_voice", "xllamacpp", "hibari"}

    def find(name: str, package: str | None = None) -> Any:
        if name in ours:
            return None if name in missing else stub
        return real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    return missing


def test_everything_here() -> None:
    planned = plan(EmbeddedOptions(), Shelf(*SMALL, LLM_DEMO))
    assert all(stage.present for stage in planned.values())
    llm = planned["llm"]
    assert llm.quality == "demo"
    assert llm.spec is not None
    assert llm.spec.options["tools"] is False
    assert llm.spec.options["threads"] >= 1


def test_without_a_language_model_the_rest_is_served() -> None:
    planned = plan(EmbeddedOptions(), Shelf(*SMALL))
    assert not planned["llm"].present
    status = planned["llm"].status("absent")
    assert status.detail is not None
    assert f"vivavoz models fetch {LLM_DEMO}" in status.detail


@pytest.mark.parametrize("missing", ["silero-vad", "moonshine-tiny-en", "hibari"])
def test_what_a_conversation_needs_is_asked_for(missing: str) -> None:
    with pytest.raises(EngineError, match=f"vivavoz models fetch {missing}") as absent:
        plan(EmbeddedOptions(), Shelf(*(name for name in SMALL if name != missing)))
    assert absent.value.code == "engine_absent"


async def test_missing_packages_are_named_with_the_command(packages: set[str]) -> None:
    packages |= {"onnxruntime", "moonshine_voice", "hibari", "xllamacpp"}
    engines = EmbeddedEngines(store=Shelf(*SMALL))
    with pytest.raises(EngineError, match=r"pip install 'vivavoz\[embedded\]'"):
        await engines.start()


def test_the_turn_model_and_the_llm_runtime_may_be_missing(packages: set[str]) -> None:
    packages.add("xllamacpp")
    planned = plan(EmbeddedOptions(), Shelf(*(name for name in SMALL if name != "smart-turn-v3.2")))
    assert not planned["turn"].present
    assert "pip install" in (planned["llm"].detail or "")


def test_only_the_stages_that_are_asked_for() -> None:
    assert set(plan(EmbeddedOptions(stages=("vad", "tts")), Shelf(*SMALL))) == {"vad", "tts"}


@pytest.mark.parametrize(("cores", "chosen", "tools"), [(2, LLM_DEMO, False), (4, LLM_SMALL, True)])
def test_the_larger_model_is_chosen_by_itself_only_on_four_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, chosen: str, tools: bool
) -> None:
    monkeypatch.setattr(planning, "cores", lambda: cores)
    stage = plan(EmbeddedOptions(), Shelf(*SMALL, LLM_DEMO, LLM_SMALL))["llm"]
    assert stage.name == chosen
    assert stage.spec is not None
    assert stage.spec.options["tools"] is tools


def test_the_larger_model_by_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "cores", lambda: 1)
    options = EmbeddedOptions(llm_model=LLM_SMALL, llm_threads=2, llm_tools=False)
    stage = plan(options, Shelf(*SMALL, LLM_SMALL))["llm"]
    assert stage.spec is not None
    assert (stage.spec.options["threads"], stage.spec.options["tools"]) == (2, False)


def test_each_call_has_a_fallback_of_its_own_where_there_is_no_language_model() -> None:
    engines = EmbeddedEngines(store=Shelf(*SMALL), fallback=ScriptedEngines())
    first, second = engines.for_call(), engines.for_call()
    assert first.llm is not None
    assert first.llm is not second.llm
    alone = EmbeddedEngines(store=Shelf(*SMALL))
    assert alone.for_call() is alone
