"""``vivavoz replay``: what a recorded call received and sent, or how two recordings differ.

A trace holds what happened to a session, not what it did: the session is played once more, so what is shown
is what this version of vivavoz does.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from vivavoz.call import trace
from vivavoz.session import effects
from vivavoz.session.inputs import Received, Refused
from vivavoz.session.translation.inputs import Asked
from vivavoz.wire.codec import plain

_KEYS = (
    "item_id",
    "response_id",
    "previous_item_id",
    "call_id",
    "name",
    "delta",
    "text",
    "transcript",
    "arguments",
    "audio",
    "audio_start_ms",
    "audio_end_ms",
)
"""Members of an event that are shown in one line."""

_ID = re.compile(r"\b(event|item|resp|conv|sess|call)_[0-9A-Za-z]{6,}\b")
_LONGEST = 60


class Shown(NamedTuple):
    """One thing that happened. ``direction``: ``client``, ``server``, or ``effect`` for what is no event."""

    seconds: float
    direction: str
    what: dict[str, Any]


def read_call(path: Path) -> Iterator[Shown]:
    """What happened in a recorded call. Raises :class:`~vivavoz.call.trace.TraceError`, ``OSError``."""
    began: float | None = None
    steps = trace.replay(path)
    number = 0
    while True:
        number += 1
        try:
            step, done = next(steps)
        except StopIteration:
            return
        except (trace.TraceError, OSError):
            raise
        except Exception as error:
            raise trace.TraceError(
                f"{path}: step {number} cannot be played ({type(error).__name__}): the trace is broken, "
                "or was recorded by another version"
            ) from error
        began = step.now if began is None else began
        at = round(step.now - began, 3)
        if isinstance(step.input, Received | Asked):
            yield Shown(at, "client", plain(step.input.event))
        elif isinstance(step.input, Refused):
            yield Shown(at, "client", {"type": "(not an event)", "code": step.input.code})
        for effect in done:
            if isinstance(effect, effects.Send):
                yield Shown(at, "server", plain(effect.event))
            elif not isinstance(effect, effects.Score | effects.FeedAudio):
                yield Shown(at, "effect", plain(effect))


# --------------------------------------------------------------------------- one recording


def line(shown: Shown) -> str:
    """An event in one line: when, which way, its type and what it is about."""
    what = shown.what
    words = [f"{shown.seconds:9.3f}", {"client": ">", "server": "<"}[shown.direction], what["type"]]
    members = {**what, **_inner(what)}
    for key in _SOUND.get(what["type"], ()):
        members[key] = f"({len(members[key])} characters of sound)"
    words += [f"{key}={_short(members[key])}" for key in (*_KEYS, *_INNER) if members.get(key) is not None]
    return " ".join(words)


_SOUND = {"response.output_audio.delta": ("delta",), "input_audio_buffer.append": ("audio",)}
_INNER = ("id", "role", "status", "reason", "code", "message")


def _inner(event: dict[str, Any]) -> dict[str, Any]:
    """What an event says of the object it carries."""
    for key in ("response", "item", "session", "error"):
        if isinstance(event.get(key), dict):
            found = {name: event[key].get(name) for name in _INNER}
            details = event[key].get("status_details")
            if isinstance(details, dict):
                found["reason"] = details.get("reason")
                found |= {name: (details.get("error") or {}).get(name) for name in ("code", "message")}
            return found
    return {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
    return f'"{text}"' if not text or any(letter.isspace() for letter in text) else text


# --------------------------------------------------------------------------- two recordings


def comparable(shown: Iterable[Shown]) -> Iterator[str]:
    """Lines that are equal where two calls did the same: no times, ids numbered as they appear, long values
    as their hash."""
    names: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"{match[1]}#{len(names) + 1}")

    for each in shown:
        if each.direction == "client":
            continue
        # Events may stand in another number between two calls; nothing refers to them.
        what = {key: value for key, value in each.what.items() if key != "event_id"}
        text = msgspec.json.encode(_comparable(what)).decode()
        sign = "<" if each.direction == "server" else "*"
        yield f"{sign} {_ID.sub(renamed, text)}"


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(each) for key, each in value.items() if key != "expires_at"}
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    if isinstance(value, str) and len(value) > 10 * _LONGEST:
        return f"({len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:12]})"
    return value


# --------------------------------------------------------------------------- the command


def replay_command(arguments: Sequence[str]) -> int:
    """Exit code 0: shown, or no difference; 1: a difference, or a broken trace."""
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.diff is not None:
            return _diff(parsed.trace, parsed.diff)
        for shown in read_call(parsed.trace):
            if shown.direction == "effect":
                continue
            if parsed.json:
                fields = {"time": shown.seconds, "direction": shown.direction, "event": shown.what}
                print(msgspec.json.encode(fields).decode())
            else:
                print(line(shown))
    except trace.TraceError as error:
        print(f"vivavoz: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read along (head, less) has seen enough.
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"vivavoz: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _diff(one: Path, other: Path) -> int:
    before, after = (list(comparable(read_call(path))) for path in (one, other))
    found = list(difflib.unified_diff(before, after, str(one), str(other), lineterm=""))
    for each in found:
        print(each)
    if not found:
        print(f"both calls did the same ({len(before)} effects)")
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vivavoz replay",
        description="Show what a recorded call received (>) and sent (<). Calls are recorded by "
        "`vivavoz serve --trace FOLDER`.",
    )
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a file of --trace")
    parser.add_argument("--json", action="store_true", help="whole events, one JSON object a line")
    parser.add_argument(
        "--diff",
        type=Path,
        metavar="OTHER",
        help="compare what the two calls did; exit code 1 if they differ",
    )
    return parser
