"""Sample arguments fit the schema they are made for."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoz.engines.scripted.samples import sample


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "example"),
        ({"type": "string", "maxLength": 3}, "exa"),
        ({"type": "string", "minLength": 9}, "examplexx"),
        ({"type": "string", "format": "date"}, "2025-01-01"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "example"),
        ({"const": 7}, 7),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "integer", "default": 12}, 12),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {}),
        (
            {
                "type": "object",
                "properties": {"p": {"$ref": "#/$defs/Point"}},
                "required": ["p"],
                "$defs": {
                    "Point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
                },
            },
            {"p": {"x": 1}},
        ),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "string"}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": "example"},
        ),
    ],
)
def test_sample(schema: dict[str, Any], value: object) -> None:
    assert sample(schema) == value


def test_a_schema_that_contains_itself_ends() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert "next" in sample(tree)


@pytest.mark.parametrize(
    "schema", [None, 3, [], {"type": 5}, {"$ref": "#/none"}, {"type": "array", "minItems": "x"}]
)
def test_nonsense_gives_something(schema: object) -> None:
    assert sample(schema) in (None, [])
