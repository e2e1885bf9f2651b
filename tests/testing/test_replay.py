"""Recorded calls, shown and compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.call.transports import FakeTransport
from tests.virtual_time import run_virtual
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings
from vivavoz.cli import main
from vivavoz.engines.scripted import Script, ScriptedEngines

HELLO = Script.parse("""
[[turn]]
says = "Hello there."
[[turn]]
says = "You again?"
fails = { stage = "llm", after_tokens = 1, code = "brain_lost", message = "Gone." }
""")


def record(folder: Path, text: str = "hello", turns: int = 1, script: Script = HELLO) -> Path:
    """A trace of a call that says ``text`` so often."""

    async def scene() -> None:
        async with CallRegistry(lambda _: ScriptedEngines(script), CallSettings(trace_dir=folder)) as calls:
            call = calls.open(None, "gpt-realtime")
            client = FakeTransport().join(call)
            for turn in range(turns):
                part = {"type": "input_text", "text": text}
                item = {"type": "message", "role": "user", "content": [part]}
                client.say("conversation.item.create", item=item)
                client.say("nonsense")
                client.say("response.create")
                await client.until("response.done", turn + 1)
                await asyncio.sleep(1.5)
            call.hangup("enough")
            await call.closed.wait()

    run_virtual(scene())
    (path,) = folder.glob("*.trace")
    return path


def test_a_call_is_shown_event_by_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(record(tmp_path, turns=2))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "< session.created" in lines[0]
    shown = [line.split()[1:3] for line in lines]
    asked = shown.index([">", "conversation.item.create"])
    assert shown.index(["<", "conversation.item.added"]) > asked
    assert any(
        "< response.output_audio_transcript.done" in line and '"Hello there."' in line for line in lines
    )
    assert any("< error" in line and "code=" in line for line in lines)
    failed = next(line for line in lines if "response.done" in line and "status=failed" in line)
    assert float(failed.split()[0]) >= 1.5
    assert "code=brain_lost" in failed
    assert all("of sound)" in line for line in lines if "output_audio.delta" in line)


def test_or_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--json", str(record(tmp_path))]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {entry["direction"] for entry in told} == {"client", "server"}
    (done,) = [entry["event"] for entry in told if entry["event"]["type"] == "response.done"]
    assert done["response"]["output"][0]["content"][0]["transcript"] == "Hello there."
    assert any(len(entry["event"].get("delta", "")) > 1000 for entry in told)


def test_two_calls_that_did_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = record(tmp_path / "one"), record(tmp_path / "two")
    assert one.name != two.name, "their ids are not the same"
    assert main(["replay", str(one), "--diff", str(two)]) == 0
    assert "did the same" in capsys.readouterr().out


def test_two_that_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = record(tmp_path / "one")
    two = record(tmp_path / "two", script=Script.parse('[[turn]]\nsays = "Goodbye there."'))
    assert main(["replay", str(one), "--diff", str(two)]) == 1
    out = capsys.readouterr().out
    changed = [line for line in out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert any(line.startswith("-") and "Hello" in line for line in changed)
    assert any(line.startswith("+") and "Goodbye" in line for line in changed)
    assert not any("response.created" in line for line in changed)


def cut(data: bytes) -> bytes:
    return data[:-7]


def torn_length(data: bytes) -> bytes:
    return data + b"\0\0"


def nonsense(data: bytes) -> bytes:
    return data + (4).to_bytes(4, "big") + b"\xc1abc"


def wrong_types(data: bytes) -> bytes:
    step = msgspec.msgpack.encode({"now": "soon"})
    return data + len(step).to_bytes(4, "big") + step


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (cut, "cut short"),
        (torn_length, "cut short"),
        (nonsense, "broken step"),
        (wrong_types, "broken step"),
        (lambda data: b"", "it is empty"),
        (lambda data: b"[[turn]]\nsays = 'no trace at all'\n", "not a trace"),
    ],
)
def test_a_broken_trace_is_named(
    breaks: Callable[[bytes], bytes], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(tmp_path)
    path.write_bytes(breaks(path.read_bytes()))
    assert main(["replay", str(path)]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert str(path) in told.err
    assert "Traceback" not in told.err


def test_what_came_before_the_break_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path)
    path.write_bytes(cut(path.read_bytes()))
    main(["replay", str(path)])
    assert "session.created" in capsys.readouterr().out


def test_a_session_that_cannot_go_on_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("another version")

    path = record(tmp_path)
    monkeypatch.setattr("vivavoz.session.session.Session.step", broken)
    assert main(["replay", str(path)]) == 1
    assert "step 1 cannot be played (KeyError)" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none.trace")]) == 1
    assert "none.trace: No such file" in capsys.readouterr().err
