"""docs/testing-your-app.md holds what it shows: its tests pass, its scripts load, its tables are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from vivavoz.engines.scripted import Script, faults
from vivavoz.testing import plugin

GUIDE = (Path(__file__).parents[2] / "docs/testing-your-app.md").read_text()
FILES = re.findall(r"^```python (\w+\.py)\n(.*?)^```$", GUIDE, re.M | re.S)
SCRIPTS = re.findall(r"^```toml script\n(.*?)^```$", GUIDE, re.M | re.S)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    for name, code in FILES:
        (tmp_path / name).write_text(code)
    done = run(tmp_path, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", "test_app.py")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_it_runs_without_pytest(tmp_path: Path) -> None:
    (code,) = [code for name, code in FILES if name == "app_without_pytest.py"]
    (tmp_path / "alone.py").write_text(code)
    done = run(tmp_path, "alone.py")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1 \[\]\n", done.stdout), done.stderr


@pytest.mark.parametrize("text", SCRIPTS)
def test_its_scripts_load(text: str) -> None:
    script = Script.parse(text)
    assert script.turn or script.faults


def test_it_names_every_fault_and_every_key_of_each() -> None:
    kinds = [
        kind for kind in vars(faults).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    ]
    assert faults.Drop in kinds
    for kind in kinds:
        for field in kind.__struct_fields__:
            assert f"`{field}`" in GUIDE, f"{kind.__name__}.{field}"


def test_it_names_every_option_of_the_marker() -> None:
    for option in plugin._OPTIONS:
        assert f"| `{option}` |" in GUIDE
