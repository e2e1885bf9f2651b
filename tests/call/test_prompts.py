"""Stored prompts: files in a folder, named and filled in by clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vivavoz.call import prompts
from vivavoz.call.prompts import PromptError, Prompts, load
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.errors import ProtocolError


@pytest.fixture
def stored(tmp_path: Path) -> Prompts:
    (tmp_path / "greeter.md").write_text("Greet {{name}} from {{ city }}.\n")
    (tmp_path / "greeter@2.md").write_text("Be short.")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "folder.md").mkdir()
    return load(tmp_path)


def instructions(stored: Prompts, prompt: Any, **members: Any) -> Any:
    """What a session's instructions become."""
    session = {"type": "realtime", "prompt": prompt, **members}
    event = decode_client_event(json.dumps({"type": "session.update", "session": session, "event_id": "e1"}))
    filled: Any = stored.filled_event(event)
    return filled.session.instructions


VARIABLES = {"name": "Ana {{city}}", "city": {"type": "input_text", "text": "Porto"}}


def test_variables_are_filled_in_once(stored: Prompts) -> None:
    assert instructions(stored, {"id": "greeter", "variables": VARIABLES}) == "Greet Ana {{city}} from Porto."
    assert instructions(stored, {"id": "greeter", "version": "2"}) == "Be short."
    own = {"id": "greeter", "version": "2", "variables": None}
    assert instructions(stored, own, instructions="Mine.") == "Mine."


def test_a_response_has_its_own(stored: Prompts) -> None:
    response = {"prompt": {"id": "greeter", "version": "2"}}
    event = decode_client_event(json.dumps({"type": "response.create", "response": response}))
    filled: Any = stored.filled_event(event)
    assert filled.response.instructions == "Be short."


@pytest.mark.parametrize(
    ("prompt", "code", "param"),
    [
        ({"id": "nobody"}, "prompt_not_found", "session.prompt.id"),
        ({"id": "greeter", "version": "3"}, "prompt_not_found", "session.prompt.id"),
        ({"id": "../greeter"}, "prompt_not_found", "session.prompt.id"),
        ({"id": "greeter"}, "missing_required_parameter", "session.prompt.variables.city"),
        (
            {"id": "greeter", "version": "2", "variables": {"x": "y"}},
            "invalid_value",
            "session.prompt.variables.x",
        ),
    ],
)
def test_what_is_not_there_is_refused(stored: Prompts, prompt: Any, code: str, param: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        instructions(stored, prompt)
    assert (refused.value.code, refused.value.param, refused.value.event_id) == (code, param, "e1")


def test_without_a_folder_there_are_none() -> None:
    with pytest.raises(ProtocolError, match="does not exist here"):
        instructions(Prompts(), {"id": "greeter"})


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PromptError, match="nowhere"):
        load(tmp_path / "nowhere")
    (tmp_path / "broken.md").write_bytes(b"\xff")
    with pytest.raises(PromptError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "broken.md").write_text("fine")
    monkeypatch.setattr(prompts, "MAX_BYTES", 3)
    with pytest.raises(PromptError, match=r"broken\.md"):
        load(tmp_path)
