"""Function calls with models that only write text: how they are asked, and how calls are read. Pure.

The small code models answer a request for a call with JSON in a fence, whatever their chat template says. So
that is what they are asked for, and a reply that begins like one is held back until it is clear what it is.
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


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: str
    """JSON."""


def instructions(tools: Sequence[dict[str, Any]]) -> str:
    """What is added to the system message. ``tools``: chat tools (nested under ``function``)."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return _ASK.format(functions=functions)


def schema(tools: Sequence[dict[str, Any]], only: str | None = None) -> dict[str, Any]:
    """JSON schema of exactly one call, for replies that must be one."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": tool["function"].get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
        }
        for tool in tools
        if only in (None, tool["function"]["name"])
    ]
    return calls[0] if len(calls) == 1 else {"oneOf": calls}


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

    def finish(self) -> tuple[list[Call], str]:
        """The calls, and the words that turned out to be none."""
        if not self._holding or not self._held:
            return [], ""
        calls = parse_calls(self._held, self._names)
        return (calls, "") if calls else ([], self._release())

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
