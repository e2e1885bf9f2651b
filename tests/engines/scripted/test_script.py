"""Scripts are checked when they are read, and say what is wrong where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vivavoz.engines.scripted import Script, ScriptError
from vivavoz.engines.scripted.script import Defaults

DOCS = Path(__file__).parents[3] / "docs" / "scripted-engines.md"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("plan = ", "demo.toml: not TOML"),
        ('plan = "both"', "demo.toml: plan: "),
        ("speed = 3", "demo.toml: (top level): Object contains unknown field `speed`"),
        ("turn_probability = 2.0", "demo.toml: turn_probability: "),
        ("turn_probability = []", "`turn_probability` must not be an empty list"),
        ('[[turn]]\nsais = "x"', "demo.toml: turn[0]: Object contains unknown field `sais`"),
        ('[[turn]]\nsays = "x"\n[[turn]]\nrepeat = 0', "demo.toml: turn[1].repeat: "),
        ('[[turn]]\nwhen = "("', "demo.toml: turn[0]: `when` is not a regular expression"),
        ("[[turn]]\ndelays = { stt_ms = -1 }", "demo.toml: turn[0].delays.stt_ms: "),
        ('[[turn]]\nfails = { stage = "vad" }', "demo.toml: turn[0].fails.stage: "),
        ("[[turn]]\ncalls = [{ arguments = {} }]", "demo.toml: turn[0].calls[0]: "),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(text: str, complaint: str) -> None:
    with pytest.raises(ScriptError) as caught:
        Script.parse(text, "demo.toml")
    assert complaint in str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.toml"
    path.write_text('[[turn]]\nhears = "olá"\n', encoding="utf-8")
    assert Script.load(path).turn[0].hears == "olá"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="cannot be read"):
        Script.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'[[turn]]\nhears = "ol\xe1"')
    with pytest.raises(ScriptError, match="not UTF-8"):
        Script.load(tmp_path / "latin.toml")


def test_the_default_script_says_what_the_code_says() -> None:
    assert Script.default().defaults == Defaults()


def test_the_examples_of_the_documentation_are_scripts() -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(examples) >= 4
    for number, example in enumerate(examples):
        Script.parse(example, f"example {number}")
