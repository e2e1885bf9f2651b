"""The observer in an application: what its profiles' tools become."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoz.app.config import App
from vivavoz.app.observer.part import Observation
from vivavoz.app.observer.tools import ToolsError
from vivavoz.app.plan import Plan
from vivavoz.app.service import Application, build

MODULE = "tests.app.observer.some_tools"


def application(folder: Path, profile: str) -> Application:
    file = folder / "profiles.toml"
    file.write_text(profile)
    app = App(upstream="openai", profiles=str(file), model="gpt-realtime")
    return build(Plan(app=app, state_dir=str(folder)), {"OPENAI_API_KEY": "sk-x"})


async def test_the_session_has_the_profiles_tools_beside_its_own(tmp_path: Path) -> None:
    profile = f"""
        [profiles.default]
        tools = ["{MODULE}:weather", "{MODULE}:whose"]
        [[profiles.default.session.tools]]
        type = "function"
        name = "weather"
        description = "In other words."
        parameters = {{ type = "object" }}
        [[profiles.default.session.tools]]
        type = "function"
        name = "open_the_door"
        """
    made = application(tmp_path, profile)
    Observation(made)
    tools = made.session_of(made.profiles.get(None))["tools"]
    assert [tool["name"] for tool in tools] == ["weather", "open_the_door", "whose"]
    assert tools[0]["description"] == "In other words."
    assert tools[2]["parameters"]["properties"] == {"loud": {"type": "boolean", "default": False}}


async def test_a_tool_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    made = application(tmp_path, f'[profiles.default]\ntools = ["{MODULE}:absent"]\n')
    with pytest.raises(ToolsError, match="has no 'absent'"):
        Observation(made)
