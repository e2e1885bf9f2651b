"""`scripts/serve`, with a `vivavoz` that writes down what it is asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/serve"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, and a command that fails at the words in the file `broken`."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts/serve")
    command = tmp_path / ".venv/bin/vivavoz"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$@" >> asked\ncase " $(cat broken) " in *" $2 "*) exit 1 ;; esac\n')
    command.chmod(0o755)
    return tmp_path


def asked(checkout: Path, *arguments: str, broken: str = "") -> list[str]:
    (checkout / "broken").write_text(broken)
    subprocess.run([checkout / "scripts/serve", *arguments], check=True, capture_output=True, timeout=30)
    return (checkout / "asked").read_text().splitlines()


def test_models_are_fetched_and_every_browser_here_is_heard(checkout: Path) -> None:
    assert asked(checkout, "embedded", "--port", "9000") == [
        "models fetch",
        "serve --engines embedded --local-media --port 9000",
    ]


def test_a_script_needs_no_models(checkout: Path) -> None:
    assert asked(checkout, "scripted") == ["serve --engines scripted --local-media"]


def test_without_a_language_model_the_engines_start_all_the_same(checkout: Path) -> None:
    assert asked(checkout, "embedded", broken="fetch")[-1] == "serve --engines embedded --local-media"


def test_without_a_voice_a_script_answers(checkout: Path) -> None:
    assert asked(checkout, "embedded", broken="fetch verify")[-1] == "serve --engines scripted --local-media"
