"""Profiles: what a file may say, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vivavoz.app.errors import AppError
from vivavoz.app.profiles import ProfileError, Profiles

GOOD = """
[profiles.desk]
title = "The help desk"
languages = ["pt-BR", "en"]
tools = ["shop.tools:look_up"]
record = false
grant = { max_seconds = 300, client_events = ["response.create"] }

[profiles.desk.session]
model = "gpt-realtime-mini"
instructions = "Help."

[profiles.plain]
instructions_file = "plain.md"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "plain.md").write_text("Be plain.\n")
    return tmp_path / "profiles.toml"


def test_a_good_file(file: Path) -> None:
    file.write_text(GOOD)
    profiles = Profiles.load(file, model="a-deployment")
    assert [profile.name for profile in profiles] == ["desk", "plain"]
    desk, plain = profiles.get("desk"), profiles.get("plain")
    assert profiles.get(None) is profiles.get("") is desk
    assert desk.session == {"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Help."}
    assert (desk.title, desk.languages, desk.record) == ("The help desk", ("pt-BR", "en"), False)
    assert desk.grant == {"max_seconds": 300, "client_events": ["response.create"]}
    assert desk.tools == ("shop.tools:look_up",)
    assert plain.session == {"type": "realtime", "model": "a-deployment", "instructions": "Be plain."}
    assert (plain.title, plain.record, plain.max_calls) == ("plain", None, 1)
    assert Profiles.load(file, default="plain").get(None).name == "plain"


def test_without_a_file_there_is_one() -> None:
    profiles = Profiles.load(None, model="m")
    assert len(profiles) == 1
    assert profiles.get(None).session == {
        "type": "realtime",
        "model": "m",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    }
    with pytest.raises(AppError) as missing:
        profiles.get("another")
    assert missing.value.status == 404


BAD = {
    "no TOML": ("[profiles", "not valid TOML"),
    "no profile": ("", "profiles"),
    "an empty table": ("[profiles]", "1 to 200"),
    "another table": ('[profiles.a]\n[profile.b]\ntitle = "x"', "unknown field `profile`"),
    "an unknown member": ("[profiles.a]\nprompt = 'x'", r"unknown field `prompt`.*profiles"),
    "a wrong type": ("[profiles.a]\nrecord = 'yes'", r"Expected `bool \| null`, got `str`"),
    "a bad name": ("[profiles.'a b']\ntitle = 'x'", "letters, digits"),
    "a bad tool": ("[profiles.a]\ntools = ['rm -rf']", r"profiles.a.tools\[0\]: expected 'package"),
    "a bad session": (
        "[profiles.a]\nsession.instructions = 5",
        r"profiles.a.session: .*'instructions'.*string",
    ),
    "a bad voice": (
        "[profiles.a]\nsession.audio.output.speed = 9.0",
        r"profiles.a.session: .*audio.output.speed",
    ),
    "transcription": ("[profiles.a]\nsession.type = 'transcription'", "session.type: expected 'realtime'"),
    "instructions twice": (
        "[profiles.a]\ninstructions_file = 'plain.md'\nsession.instructions = 'x'",
        "instructions already",
    ),
    "no such file": ("[profiles.a]\ninstructions_file = 'nothing.md'", "nothing.md cannot be read"),
    "the filter": ("[profiles.a]\ngrant.filter = 'on'", "grant.filter: is set by the application"),
    "a bad grant": ("[profiles.a]\ngrant.max_seconds = 0", "profiles.a.grant: "),
    "an unknown grant": ("[profiles.a]\ngrant.money = 1", "profiles.a.grant: .*money"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_says_where_and_what(name: str, file: Path) -> None:
    text, message = BAD[name]
    file.write_text(text)
    with pytest.raises(ProfileError, match=message) as wrong:
        Profiles.load(file)
    assert str(file) in str(wrong.value)


def test_a_file_that_is_not_there_or_too_long(file: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read"):
        Profiles.load(file)
    file.write_text("#" * 1_100_000)
    with pytest.raises(ProfileError, match="larger than"):
        Profiles.load(file)
    file.write_text(GOOD)
    with pytest.raises(ProfileError, match="'other' is not in it; it has: desk, plain"):
        Profiles.load(file, default="other")


def test_a_hosted_service_may_know_more_than_we_do(file: Path) -> None:
    file.write_text("[profiles.a]\nsession.mood = 'merry'")
    assert Profiles.load(file).get("a").session["mood"] == "merry"
    with pytest.raises(ProfileError, match="mood"):
        Profiles.load(file, strict=True)


def test_what_the_documentation_shows(file: Path) -> None:
    page = Path(__file__).parents[2] / "docs/profiles.md"
    shown = re.findall(r"^```toml profiles\n(.*?)^```$", page.read_text(), re.M | re.S)
    assert len(shown) == 1
    file.write_text(shown[0])
    profiles = Profiles.load(file, strict=True)
    assert [profile.name for profile in profiles] == ["default", "interview"]
    assert profiles.get("interview").grant["max_seconds"] == 600
