"""Function calls with models that only write text: how they are asked, what they may write, and how calls
are read. Pure.

The small code models answer a request for a call with JSON in a fence, whatever their chat template says. So
that is what they are asked for, and a reply that begins like one is held back until it is clear what it is. A
grammar keeps them to it: words, or calls whose arguments fit the function's schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

_ASK = """\
You can call functions. To call one, answer with nothing but this JSON, and no other text:
```json
{{"name": "function name", "arguments": {{}}}}
```
Call a function only when the user asks for what it does; else answer in words. The functions:
{functions}"""

_OPENERS = ("```", "{", "[", "<tool_call>")
_BRACKET = re.compile(r"[\[{]")
_FENCE = re.compile(r"```(?:json|JSON)?\s*|<tool_call>\s*")
_MAX_HELD = 8000
_MAX_DEPTH = 12
_MAX_NODES = 1_000
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")

MAX_CALLS = 4
"""Calls of one reply: a small model that has begun to call may not find an end."""


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: str
    """JSON."""


def instructions(tools: Sequence[dict[str, Any]]) -> str:
    """What is added to the system message. ``tools``: chat tools (nested under ``function``)."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return _ASK.format(functions=functions)


def grammar(tools: Sequence[dict[str, Any]], choice: str | dict[str, Any]) -> str:
    """What a reply may be, in the language of llguidance: words or up to :data:`MAX_CALLS` calls; calls only
    (``required``); or one call of the function that ``choice`` names."""
    only = choice.get("name") if isinstance(choice, dict) else None
    start = "call" if only is not None else "calls" if choice == "required" else "words | calls"
    more = r' ("\n" call)?' * (MAX_CALLS - 1)
    # Spaces as the model would write them anyway, so that it cannot fill its reply with them.
    spaces = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    wanted = json.dumps({**schema(tools, only), "x-guidance": spaces})
    return "\n".join(
        (
            "%llguidance {}",
            f"start: {start}",
            r"words: /[^\s{\[`<](.|\n)*/",
            rf'calls: "```json\n" call{more} "\n```" | call',
            f"call: %json {wanted}",
        )
    )


def schema(tools: Sequence[dict[str, Any]], only: str | None = None) -> dict[str, Any]:
    """JSON schema of exactly one call, for replies that must be one."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": _constraint(tool["function"].get("parameters")),
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
        if only in (None, tool["function"]["name"])
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _constraint(parameters: Any) -> dict[str, Any]:
    """As much of a function's schema as every constrained decoder knows: one keyword that it does not know
    would cost the whole grammar. What is left out only makes it laxer."""
    simple = _Simplifier(parameters).simple(parameters)
    return {**simple, "type": "object"} if "anyOf" not in simple else simple


class _Simplifier:
    """References are written out where they stand, as far as there is room: they may go in circles."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._room = _MAX_NODES

    def simple(self, node: Any, depth: int = _MAX_DEPTH) -> dict[str, Any]:
        self._room -= 1
        if not isinstance(node, dict) or depth == 0 or self._room <= 0:
            return {}
        if isinstance(node.get("$ref"), str):
            return self.simple(self._referred(node["$ref"]), depth - 1)
        if isinstance(node.get("enum"), list) and node["enum"]:
            return {"enum": node["enum"]}
        if "const" in node:
            return {"const": node["const"]}
        for union in ("anyOf", "oneOf"):
            if isinstance(node.get(union), list) and node[union]:
                return {"anyOf": [self.simple(choice, depth - 1) for choice in node[union]]}
        return self._plain(node, depth)

    def _plain(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        kinds = node.get("type")
        kinds = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in _TYPES]
        if kinds:
            kept["type"] = kinds if len(kinds) > 1 else kinds[0]
        if isinstance(node.get("properties"), dict):
            required = node["required"] if isinstance(node.get("required"), list) else []
            kept["properties"] = {
                name: self.simple(inner, depth - 1) for name, inner in node["properties"].items()
            }
            kept["required"] = [name for name in kept["properties"] if name in required]
            kept["additionalProperties"] = False
        if isinstance(node.get("items"), dict):
            kept["items"] = self.simple(node["items"], depth - 1)
        return kept

    def _referred(self, reference: str) -> Any:
        """What a reference within the schema (``#/$defs/City``) stands for; None: nothing."""
        node = self._root if reference.startswith("#/") else None
        for step in reference[2:].split("/"):
            node = node.get(step) if isinstance(node, dict) else None
        return node


class CallReader:
    """Sorts the text of one reply into words and calls."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._held = ""
        self._holding = True

    def feed(self, text: str) -> str:
        """The words that may be passed on."""
        if not self._holding:
            return text
        self._held += text
        start = self._held.lstrip()
        may_be_call = not start or any(start.startswith(o) or o.startswith(start) for o in _OPENERS)
        if may_be_call and len(self._held) <= _MAX_HELD:
            return ""
        return self._release()

    def finish(self, *, cut: bool = False) -> tuple[list[Call], str]:
        """The calls, and the words that turned out to be none. ``cut``: the reply has no end, and half a call
        is nothing to read aloud."""
        if not self._holding or not self._held:
            return [], ""
        calls = parse_calls(self._held, self._names)
        return (calls, "") if calls or cut else ([], self._release())

    def _release(self) -> str:
        self._holding = False
        held, self._held = self._held, ""
        return held


def parse_calls(text: str, names: frozenset[str]) -> list[Call]:
    """All calls in ``text``, leniently: fenced or bare, one or a list, ``parameters`` for ``arguments``,
    arguments as an object or as a string of JSON. Calls of unknown functions are none."""
    decoder = json.JSONDecoder()
    calls: list[Call] = []
    position = 0
    text = _FENCE.sub("", text)
    while (opening := _BRACKET.search(text, position)) is not None:
        try:
            value, position = decoder.raw_decode(text, opening.start())
        except ValueError:
            position = opening.end()
            continue
        candidates = value if isinstance(value, list) else [value]
        calls += [call for candidate in candidates if (call := _call(candidate, names)) is not None]
    return calls


def _call(value: Any, names: frozenset[str]) -> Call | None:
    if not isinstance(value, dict):
        return None
    value = value.get("function", value) if isinstance(value.get("function"), dict) else value
    name = value.get("name")
    if not isinstance(name, str) or name not in names:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return None
    if not isinstance(arguments, dict):
        return None
    return Call(name, json.dumps(arguments, ensure_ascii=False))
