"""Other people's clients, unmodified and in environments of their own, against real services."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import require_models
from tests.running import Running, vivavoz
from tests.speech import real_speech, scripted_speech

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-the-tests"
QUESTION = "What is the capital city of Portugal?"

EITHER_ENGINES = [
    pytest.param("scripted", id="scripted"),
    pytest.param("embedded", id="embedded", marks=pytest.mark.embedded),
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="session")
def services(folder: Path) -> Iterator[Services]:
    with Services(folder) as made:
        yield made


class Services:
    """One service for each kind of engines, started when the first test wants it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Running] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def get(self, engines: str) -> Running:
        if engines not in self._running:
            if engines == "embedded":
                require_models()
            self._running[engines] = self._stack.enter_context(
                vivavoz(self._folder, engines=engines, key=KEY)
            )
        return self._running[engines]


def question(engines: str) -> bytes:
    """Speech that these engines make something of (PCM, 24 kHz)."""
    return real_speech(QUESTION) if engines == "embedded" else scripted_speech(QUESTION)
