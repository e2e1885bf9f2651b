from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.engines.embedded.toolcalls import Call, CallReader, instructions, parse_calls, schema

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
    assert [option["properties"]["name"]["const"] for option in schema(TOOLS)["oneOf"]] == [
        "weather",
        "timer",
    ]
    only = schema(TOOLS, "weather")
    assert only["properties"]["arguments"] == {"type": "object", "required": ["city"]}
    json.dumps(only)
