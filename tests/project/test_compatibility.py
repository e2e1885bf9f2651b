"""The compatibility tables: as their file says, and each row with a test that is there and is about it."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scripts import compatibility, mutate

ROOT = Path(__file__).resolve().parents[2]
DATA: dict[str, compatibility.Rows] = tomllib.loads(compatibility.TABLE.read_text())
ROWS = [
    pytest.param(heading, name, row, id=f"{heading}: {name}".replace("`", ""))
    for heading, rows in DATA.items()
    for name, row in rows.items()
]
STATES = {"applied", "refused", "not sent"}
MARKS = {"Client events": r"^\S*> ", "Server events": r"^<\S* "}


def test_the_page_says_what_the_file_says() -> None:
    text = compatibility.PAGE.read_text()
    assert compatibility.page(text, DATA) == text, "run scripts/compatibility.py"


def test_a_page_without_its_table_is_named() -> None:
    with pytest.raises(ValueError, match="Session"):
        compatibility.page("\n## Session\n\nNothing.\n\n", {"Session": {}})


@pytest.mark.parametrize(("heading", "name", "row"), ROWS)
def test_every_row_has_a_proof(heading: str, name: str, row: dict[str, Any]) -> None:
    assert row["state"] in STATES
    assert row.keys() <= {"state", "remarks", "test", "file", "line", "without"}
    if "test" not in row:
        assert row["state"] == "not sent"
        return
    if "::" in row["test"]:
        path, _, function = row["test"].partition("::")
        tree = ast.parse((ROOT / path).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, functions)}
        return
    scenario = (ROOT / "tests/scenarios" / f"{row['test']}.txt").read_text()
    if heading in MARKS:
        assert re.search(MARKS[heading] + re.escape(name) + r"( |$)", scenario, re.MULTILINE)
    else:
        assert re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", scenario)


def test_every_member_that_is_applied_can_be_taken_out() -> None:
    missing = [
        name
        for heading in ("Session", "`response.create`")
        for name, row in DATA[heading].items()
        if row["state"] == "applied" and "line" not in row
    ]
    assert missing == []


@pytest.mark.parametrize("mutation", list(mutate.mutations()), ids=lambda mutation: mutation.name)
def test_the_line_that_applies_it_is_there(mutation: mutate.Mutation, tmp_path: Path) -> None:
    """`make mutate` then sees the test fail without it."""
    path = tmp_path / mutation.file
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / mutation.file).read_text())
    before = path.read_text()
    mutation.apply(tmp_path)
    assert path.read_text() != before


def test_one_of_them_is_missed_when_it_is_gone() -> None:
    (speed,) = (each for each in mutate.mutations() if each.name == "Session: audio.output.speed")
    assert mutate.outcome(speed.test, ROOT / "src") == mutate.PASSED
    assert mutate.without(speed) == mutate.FAILED


def test_a_line_that_does_nothing_is_not_missed() -> None:
    idle = mutate.Mutation(
        "x", "metadata_comes_back", "src/vivavoz/session/turn.py", "ONSET_MS = 40", "ONSET_MS = 41"
    )
    assert mutate.without(idle) == mutate.PASSED
