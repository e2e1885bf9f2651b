"""The event log, line by line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.call.transports import FakeTransport
from tests.virtual_time import run_virtual
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings
from vivavoz.config import ConfigError, Testing
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.testing import event_log
from vivavoz.testing.event_log import EventLog
from vivavoz.testing.harness import Harness


def talk(log: EventLog, *messages: tuple[str, str]) -> None:
    """A call with an observer. A message is who sends it (``main`` or ``observer``) and its text."""

    async def scene() -> None:
        settings = CallSettings(deterministic=True)
        async with CallRegistry(lambda _: ScriptedEngines(), settings, open_tap=log_as_tap) as calls:
            call = calls.open(None, "gpt-realtime")
            joined = {"main": FakeTransport().join(call), "observer": FakeTransport("sideband").join(call)}
            for who, text in messages:
                attachment = joined[who].attachment
                assert attachment is not None
                attachment.received(text)
            await asyncio.sleep(5)

    def log_as_tap(number: int, call_id: str) -> Any:
        return Harness(Testing(deterministic=True), ScriptedEngines(), log).open_tap(number, call_id)

    run_virtual(scene())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_observer_is_named_and_the_first_connection_is_not(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", timed=False, keep=True)
    talk(log, ("main", '{"type": "response.cancel"}'), ("observer", '{"type": "input_audio_buffer.clear"}'))
    asked = [line for line in lines(tmp_path / "log") if line.get("direction") == "client"]
    assert asked == [
        {"call": 1, "direction": "client", "event": {"type": "response.cancel"}},
        {
            "call": 1,
            "direction": "client",
            "connection": "t2",
            "event": {"type": "input_audio_buffer.clear"},
        },
    ]
    (call,) = log.calls
    assert [entry.connection for entry in call.entries if entry.direction == "client"] == [None, "t2"]
    assert call.ended == 1001
    assert repr(call) == f"<call 1, ended with 1001, {len(call.entries)} events>"


@pytest.mark.parametrize("text", ["{", "[1, 2]", "null", '"x"', "\ud800"])
def test_what_is_no_event_stands_as_it_came(text: str, tmp_path: Path) -> None:
    log = EventLog(timed=False, keep=True)
    talk(log, ("main", text))
    assert log.calls[0].client_events == [{"malformed": text.encode(errors="replace").decode()}]
    assert any(event["type"] == "error" for event in log.calls[0].server_events)


def test_it_ends_at_its_bound_and_the_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_log, "MAX_FILE_BYTES", 4_000)
    log = EventLog(tmp_path / "log", timed=False, keep=True)
    talk(log, *[("main", '{"type": "response.create"}')] * 20)
    assert 0 < (tmp_path / "log").stat().st_size <= 4_000
    assert len(lines(tmp_path / "log")) < len(log.calls[0].entries)
    assert "the event log ended: the event log has its longest length" in caplog.text
    assert "response.done" in [event["type"] for event in log.calls[0].server_events]


def test_it_replaces_the_log_of_the_run_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    talk(EventLog(path, timed=False))
    assert lines(path)[0]["event"]["type"] == "session.created"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    testing = Testing(event_log=str(tmp_path))
    with pytest.raises(ConfigError, match=r"the event log .* cannot be written: Is a directory"):
        Harness(testing, ScriptedEngines())


def test_what_an_mcp_server_is_to_be_shown_is_in_no_log(tmp_path: Path) -> None:
    tool = {
        "type": "mcp",
        "server_label": "x",
        "server_url": "https://example.org",
        "authorization": "hunter2",
        "headers": {"X-Key": "hunter2"},
    }
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    for event in (
        {"type": "session.update", "session": {"type": "realtime", "tools": [tool]}},
        {"type": "response.create", "response": {"tools": [tool, 3]}},
        {"type": "response.create", "response": {"tools": 3}},
    ):
        talk(log, ("main", json.dumps(event)))
    log.close()
    assert b"hunter2" not in path.read_bytes()
    assert sum(line.get("direction") == "client" for line in lines(path)) == 3
