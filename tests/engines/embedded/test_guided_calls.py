"""Functions with a real small model: what it writes is words, or calls whose arguments fit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.engines.embedded.test_real_models import ask
from vivavoz.engines.embedded.engines import EmbeddedEngines
from vivavoz.engines.embedded.plan import EmbeddedOptions, plan
from vivavoz.engines.ports import TextDelta, ToolCallDelta
from vivavoz.models.store import Store

pytestmark = pytest.mark.embedded

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
        },
    },
    {
        "type": "function",
        "name": "set_timer",
        "description": "Sets a timer",
        "parameters": {
            "type": "object",
            "properties": {"minutes": {"type": "integer"}},
            "required": ["minutes"],
        },
    },
]


ASKED = (
    "Set a timer of five minutes and tell me the weather in Porto.",
    "Please call set_timer for five minutes.",
    "Call get_weather for Porto, in C.",
    "Set a timer of ten minutes.",
    "What is the weather in Lisbon?",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines() -> AsyncIterator[EmbeddedEngines]:
    options = EmbeddedOptions(stages=("llm",), llm_tools=True)
    if not plan(options, Store())["llm"].present:
        pytest.skip("no language model")
    engines = EmbeddedEngines(options)
    await engines.start()
    yield engines
    await engines.stop()


async def calls_of(engines: EmbeddedEngines, text: str, choice: Any) -> list[tuple[str, Any]]:
    deltas = [delta async for delta in ask(engines, text, tools=TOOLS, tool_choice=choice)]
    return [(delta.name, json.loads(delta.arguments)) for delta in deltas if isinstance(delta, ToolCallDelta)]


def fits(name: str, arguments: Any) -> bool:
    if name == "set_timer":
        return set(arguments) == {"minutes"} and isinstance(arguments["minutes"], int)
    return set(arguments) == {"city", "unit"} and arguments["unit"] in ("C", "F")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "name": "set_timer"}])
async def test_arguments_fit_their_schema(engines: EmbeddedEngines, choice: Any) -> None:
    calls: list[tuple[str, Any]] = []
    for text in ASKED:
        # A model may answer in words where it may, and a call that it does not end is not made.
        calls = await calls_of(engines, text, choice)
        if calls:
            break
    assert calls
    assert all(fits(*call) for call in calls), calls
    if isinstance(choice, dict):
        assert [name for name, _ in calls] == ["set_timer"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_that_is_cut_short_is_neither_made_nor_spoken(engines: EmbeddedEngines) -> None:
    text = "What is the weather in Lisbon?"
    deltas = ask(engines, text, tools=TOOLS, tool_choice="required", max_output_tokens=6)
    assert not [delta async for delta in deltas if isinstance(delta, TextDelta | ToolCallDelta)]
