"""Mistakes in the marker and in the script, in the words that a person reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest


@pytest.mark.vivavoz(scrip={})
def test_misspelt(vivavoz):
    pass


@pytest.mark.vivavoz("[[turn]]\\nsay = 'hello'")
def test_a_script_with_a_mistake(vivavoz):
    pass


@pytest.mark.vivavoz(faults={"drop": {"after_events": 0}})
def test_a_fault_with_a_mistake(vivavoz):
    pass


@pytest.mark.vivavoz({"turn": [{"says": "outer"}]}, time="real")
class TestNested:
    @pytest.mark.vivavoz({"turn": [{"says": "inner"}]})
    def test_the_nearest_marker_wins(self, vivavoz):
        assert vivavoz._harness._engines.script.turn[0].says == "inner"
        assert vivavoz._harness._testing.time == "real"
"""

QUIET = "import sys, vivavoz.testing.plugin; print(*sorted(sys.modules))"


def test_mistakes_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", "-q", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "the marker vivavoz has no 'scrip'; it has script, faults, time" in done.stdout
    assert "script: turn[0]: Object contains unknown field `say`" in done.stdout
    assert "faults.drop.after_events: Expected `int` >= 1" in done.stdout
    assert "1 passed, 3 errors" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_plugin_costs_a_run_that_does_not_use_it_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"aiohttp", "numpy", "msgspec", "cryptography", "vivavoz.worker"} & loaded
