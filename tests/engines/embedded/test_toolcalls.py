from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.engines.embedded.toolcalls import (
    Call,
    CallReader,
    grammar,
    instructions,
    parse_calls,
    schema,
)

NAMES = frozenset({"weather", "timer"})
TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}},
    },
    {"type": "function", "function": {"name": "timer"}},
]
PORTO = Call("weather", '{"city": "Porto"}')


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"name": "weather", "arguments": {"city": "Porto"}}\n```',
        '{"name": "weather", "arguments": {"city": "Porto"}}',
        '{"name": "weather", "parameters": {"city": "Porto"}}',
        '{"name": "weather", "arguments": "{\\"city\\": \\"Porto\\"}"}',
        '{"type": "function", "function": {"name": "weather", "arguments": {"city": "Porto"}}}',
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Porto"}}\n</tool_call>',
        '[{"name": "weather", "arguments": {"city": "Porto"}}]',
    ],
)
def test_calls_are_read_as_small_models_write_them(text: str) -> None:
    assert parse_calls(text, NAMES) == [PORTO]
    reader = CallReader(list(NAMES))
    assert "".join(reader.feed(character) for character in text) == ""
    assert reader.finish() == ([PORTO], "")


def test_two_calls() -> None:
    one, two = '{"name": "weather", "arguments": {"city": "Porto"}}', '{"name": "timer"}'
    assert parse_calls(f"{one}\n{two}", NAMES) == [PORTO, Call("timer", "{}")]


@pytest.mark.parametrize(
    "text",
    ['{"name": "joke", "arguments": {}}', '{"name": "weather", "arguments": 7}', '{"name": ', "[1, 2]"],
)
def test_what_is_no_call_of_ours_is_words(text: str) -> None:
    reader = CallReader(list(NAMES))
    said = reader.feed(text)
    calls, rest = reader.finish()
    assert (calls, said + rest) == ([], text)


def test_words_pass_at_once() -> None:
    reader = CallReader(list(NAMES))
    assert reader.feed("It is") == "It is"
    assert reader.feed(' {"name": "weather"}') == ' {"name": "weather"}'
    assert reader.finish() == ([], "")


@given(st.lists(st.text(alphabet=st.sampled_from('{}[]"`:,jsonae \\<'), max_size=8)))
def test_no_text_is_lost(pieces: list[str]) -> None:
    reader = CallReader(list(NAMES))
    said = "".join(reader.feed(piece) for piece in pieces)
    calls, rest = reader.finish()
    assert calls == []
    assert said + rest == "".join(pieces)


def test_what_the_model_is_told_and_held_to() -> None:
    assert '"name": "weather"' in instructions(TOOLS)
    assert [option["properties"]["name"]["const"] for option in schema(TOOLS)["anyOf"]] == [
        "weather",
        "timer",
    ]
    only = schema(TOOLS, "weather")
    assert only["properties"]["arguments"] == {"type": "object"}
    json.dumps(only)


def held_to(parameters: Any) -> Any:
    """What the arguments of a function with these parameters are held to."""
    return schema([{"type": "function", "function": {"name": "f", "parameters": parameters}}])["properties"][
        "arguments"
    ]


def test_arguments_are_held_to_the_schema() -> None:
    parameters = {
        "type": "object",
        "title": "Order",
        "properties": {
            "city": {"$ref": "#/$defs/City"},
            "count": {"type": ["integer", "null"], "minimum": 1},
            "tags": {"type": "array", "items": {"type": "string", "pattern": "(("}},
            "how": {"oneOf": [{"const": "fast"}, {"enum": ["slow", 1]}]},
        },
        "required": ["city", "nobody"],
        "$defs": {"City": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    city = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": [],
        "additionalProperties": False,
    }
    assert held_to(parameters) == {
        "type": "object",
        "properties": {
            "city": city,
            "count": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "how": {"anyOf": [{"const": "fast"}, {"enum": ["slow", 1]}]},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "parameters",
    [None, {}, {"type": "nonsense"}, {"$ref": "https://example.org/x"}, {"$ref": "#/a/b"}, {"not": {}}],
)
def test_a_schema_that_nobody_knows_leaves_any_object(parameters: Any) -> None:
    assert held_to(parameters) == {"type": "object"}


def test_a_schema_in_circles_comes_to_an_end() -> None:
    circle = {"$ref": "#"}
    tree = {"type": "object", "properties": dict.fromkeys("abcdefgh", circle)}
    assert len(json.dumps(held_to(tree))) < 200_000


@pytest.mark.parametrize(
    ("choice", "start"),
    [("auto", "words | calls"), ("required", "calls"), ({"type": "function", "name": "timer"}, "call")],
)
def test_the_grammar_lets_through_what_is_chosen(choice: Any, start: str) -> None:
    lines = grammar(TOOLS, choice).splitlines()
    assert lines[:2] == ["%llguidance {}", f"start: {start}"]
    assert ("weather" in lines[-1]) == (start != "call")
    assert json.loads(lines[-1].removeprefix("call: %json "))


def test_half_a_call_is_not_read_aloud() -> None:
    reader = CallReader(list(NAMES))
    assert reader.feed('```json\n{"name": "weather", "argu') == ""
    assert reader.finish(cut=True) == ([], "")
