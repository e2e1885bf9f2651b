"""A value that fits a JSON schema: what a tool is called with when nobody says with what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTH = 8
_STRINGS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: object, root: Mapping[str, Any] | None = None, depth: int = _DEPTH) -> Any:
    """The simplest value that ``schema`` allows: its const, default, first enum or example, else one of its
    type. Objects get their required members only. Patterns are not followed. Never raises."""
    if not isinstance(schema, Mapping) or depth <= 0:
        return None
    root = schema if root is None else root
    if "const" in schema:
        return schema["const"]
    if "default" in schema:
        return schema["default"]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    if isinstance(schema.get("$ref"), str):
        return sample(_lookup(schema["$ref"], root), root, depth - 1)
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return sample(schema[key][0], root, depth - 1)
    if isinstance(schema.get("allOf"), list):
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            if isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
                part = _lookup(part["$ref"], root)
            merged = _merge(merged, part)
        return sample(merged, root, depth - 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind is None and "properties" in schema:
        kind = "object"
    match kind:
        case "object":
            properties = schema.get("properties")
            properties = properties if isinstance(properties, Mapping) else {}
            required = schema.get("required")
            required = required if isinstance(required, list) else []
            return {name: sample(properties.get(name), root, depth - 1) for name in required}
        case "array":
            count = min(int(_number(schema.get("minItems"))), 16)
            return [sample(schema.get("items"), root, depth - 1) for _ in range(count)]
        case "string":
            return _string(schema)
        case "integer":
            return int(_in_range(schema, step=1))
        case "number":
            return _in_range(schema, step=0.5)
        case "boolean":
            return True
        case _:
            return None


def _string(schema: Mapping[str, Any]) -> str:
    text = _STRINGS.get(str(schema.get("format")), "example")
    text = text.ljust(min(int(_number(schema.get("minLength"))), 1000), "x")
    longest = schema.get("maxLength")
    return text[: int(_number(longest))] if isinstance(longest, int) else text


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _in_range(schema: Mapping[str, Any], step: float) -> float:
    value: float = 1
    if "minimum" in schema:
        value = max(value, _number(schema["minimum"]))
    if "exclusiveMinimum" in schema:
        value = max(value, _number(schema["exclusiveMinimum"]) + step)
    if "maximum" in schema:
        value = min(value, _number(schema["maximum"]))
    if "exclusiveMaximum" in schema:
        value = min(value, _number(schema["exclusiveMaximum"]) - step)
    return value


def _lookup(reference: str, root: Mapping[str, Any]) -> object:
    node: object = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        if name:
            node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _merge(into: dict[str, Any], part: object) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return into
    merged = {**into, **part}
    if isinstance(into.get("properties"), Mapping) and isinstance(part.get("properties"), Mapping):
        merged["properties"] = {**into["properties"], **part["properties"]}
    if isinstance(into.get("required"), list) and isinstance(part.get("required"), list):
        merged["required"] = [*into["required"], *part["required"]]
    return merged
