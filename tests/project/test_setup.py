"""`make setup` mends what it finds: these are the states of an environment that it must tell apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import setup


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working environment, made as setup makes it but for the newer pip; nobody changes it."""
    venv = tmp_path_factory.mktemp("setup") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    return venv


def test_a_sound_one_is_kept(venv: Path) -> None:
    assert setup.fault(venv) is None


def test_none_at_all(tmp_path: Path) -> None:
    assert setup.fault(tmp_path / "venv") == "absent"


def test_one_whose_interpreter_was_removed(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/nonexistent/python3")
    assert setup.fault(tmp_path) == "its interpreter is gone"


def test_one_whose_interpreter_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert setup.fault(tmp_path) == "its interpreter or pip is broken or too old"


def test_one_that_was_moved_with_its_checkout(venv: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(venv, moved, symlinks=True)
    assert setup.fault(moved) == "it was made in another folder"


def test_a_stamp_stands_for_its_inputs(tmp_path: Path) -> None:
    setup.set_stamp(tmp_path, "run", setup.digest("one"))
    setup.set_stamp(tmp_path, "test", setup.digest("two"))
    assert setup.stamps(tmp_path) == {"run": setup.digest("one"), "test": setup.digest("two")}
    setup.set_stamp(tmp_path, "run", None)
    assert setup.stamps(tmp_path) == {"test": setup.digest("two")}
    assert setup.digest("one") != setup.digest("two")


@pytest.mark.parametrize("text", ["", "{", json.dumps(["run"])])
def test_a_broken_stamp_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / setup.STAMP).write_text(text)
    assert setup.stamps(tmp_path) == {}


def test_what_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert not setup.apt_install("chromium", "the browser tests")
    assert "sudo apt-get install -y chromium" in capsys.readouterr().out


def test_an_interpreter_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "OLDEST", (4, 0))
    with pytest.raises(setup.SetupError, match="apt-get install -y python3 python3-venv"):
        setup.find_python()
