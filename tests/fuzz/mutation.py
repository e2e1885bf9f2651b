"""Client events gone wrong: every member at every depth, and the text itself."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

NAMES = ("type", "session", "item", "id", "audio", "nope", "", "\x00", "ß😀", "__class__")
HUGE = 2**70
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**53,
    2**63,
    HUGE,
    -HUGE,
    1e308,
    "",
    "a",
    "root",
    "none",
    "auto",
    "inf",
    "AAAA",
    "AAA",
    "not base64 !",
    "\x00",
    "\ud800",
    "ß😀",
    "x" * 600,
    [],
    {},
    [[]],
    [None],
    {"type": "realtime"},
    {"type": "message"},
    {"type": "nope"},
    {"a": {"b": [1, {"c": None}]}},
)
SCRAPS = ("\\u0000", "\\ud800", "1e999", "-", "NaN", "{", "[" * 200, '"', ",", "null", "\ufeff", "\t", "}}")


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every ``(container, key)`` below ``node``."""
    found: list[tuple[Any, Any]] = []
    todo = [node]
    while todo:
        here = todo.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            todo.append(here[key])
    return found


def mutated(source: random.Random, event: dict[str, Any], known: list[str]) -> str | bytes:
    """``event`` with up to three mistakes, as a client would send it. ``known``: ids that mean something."""
    event = copy.deepcopy(event)
    for _ in range(source.choice((0, 1, 1, 1, 2, 3))):
        _spoil(source, event, known)
    text = json.dumps(event)
    if source.random() < 0.1:
        return _torn(source, text)
    return text


def _spoil(source: random.Random, event: dict[str, Any], known: list[str]) -> None:
    all_places = places(event)
    if not all_places:
        return
    container, key = source.choice(all_places)
    match source.randrange(6):
        case 0 | 1:
            container[key] = copy.deepcopy(source.choice(VALUES))
        case 2:
            del container[key]
        case 3 if isinstance(container, dict):
            container[source.choice(NAMES)] = copy.deepcopy(source.choice(VALUES))
        case 3:
            container.append(copy.deepcopy(source.choice(container)))
        case 4:
            other, at = source.choice(all_places)
            container[key] = copy.deepcopy(other[at])
        case _:
            container[key] = source.choice(known)


def _torn(source: random.Random, text: str) -> str | bytes:
    at = source.randrange(len(text) + 1)
    match source.randrange(4):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + source.choice(SCRAPS) + text[at:]
        case 2:
            return text[:at] + text[at + source.randint(1, 20) :]
        case _:
            data = text.encode()
            return data[:at] + source.randbytes(source.randint(1, 4)) + data[at:]
