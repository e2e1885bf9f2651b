"""What the record of a call does not tell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from vivavoz.app.recordings.redaction import Redaction

PROMPT, SECRET = "You are secretly a pirate", "sk-do-not-keep"

SESSION = {
    "instructions": PROMPT,
    "prompt": {"id": "pmpt_1", "variables": {"name": PROMPT}},
    "audio": {"input": {"transcription": {"model": "whisper-1", "prompt": PROMPT}}},
    "tools": [
        {
            "type": "mcp",
            "server_label": "shop",
            "server_url": f"https://mcp.example/?key={SECRET}",
            "authorization": SECRET,
            "headers": {"x-key": SECRET},
        }
    ],
    "client_secret": {"value": SECRET},
}

EVENTS: list[dict[str, Any]] = [
    {"type": "session.created", "session": SESSION},
    {"type": "session.update", "session": SESSION},
    {"type": "response.create", "response": {"instructions": PROMPT, "tools": SESSION["tools"]}},
    {"type": "response.done", "response": {"output": [], "prompt": {"id": PROMPT}}},
    {"type": "something.later", "nested": [{"deep": [SESSION]}]},
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["type"])
@pytest.mark.parametrize("escaped", [False, True])
def test_no_prompt_and_no_credential_is_left(event: dict[str, Any], escaped: bool) -> None:
    given = msgspec.json.encode(event)
    if escaped:
        given = given.replace(b'"instructions"', b'"\\u0069nstructions"').replace(
            b'"authorization"', b'"a\\u0075thorization"'
        )
    kept = Redaction()(given)
    assert PROMPT.encode() not in kept
    assert SECRET.encode() not in kept
    assert msgspec.json.decode(kept)["type"] == event["type"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["type"])
def test_prompts_stay_where_that_is_configured_and_credentials_never_do(event: dict[str, Any]) -> None:
    kept = Redaction(keep_prompts=True)(msgspec.json.encode(event))
    assert PROMPT.encode() in kept
    assert SECRET.encode() not in kept


def test_what_has_nothing_to_hide_is_kept_as_it_came() -> None:
    event = b'{"type":"response.output_audio_transcript.delta","delta":"the instructions are easy"}'
    assert Redaction()(event) == event


def test_members_that_say_nothing_keep_saying_it() -> None:
    kept = Redaction()(b'{"session":{"instructions":null,"prompt":null}}')
    assert kept == b'{"session":{"instructions":null,"prompt":null}}'


@pytest.mark.parametrize("event", [b'{"type":"a",\n"b":1}', b'{"instructions":\n"x"}'])
def test_an_event_is_one_line(event: bytes) -> None:
    assert b"\n" not in Redaction()(event)


@pytest.mark.parametrize("event", [b'{"instructions": "' + PROMPT.encode(), b'"instructions"' + b"[" * 5000])
def test_what_cannot_be_read_is_not_kept(event: bytes) -> None:
    assert Redaction()(event) == b'{"type":"unreadable"}'
