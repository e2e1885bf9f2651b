"""Other people's clients, unmodified and in environments of their own, against real services."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.certificate import make_certificate
from tests.embedded import require_models
from tests.running import Running, vivavoz
from tests.server.entra_tokens import TENANT, key_set
from tests.speech import real_speech, scripted_speech, write_wav

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-the-tests"
DEPLOYMENT = "my-deployment"
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


@pytest.fixture(scope="session")
def secured(folder: Path) -> Iterator[tuple[Running, Path]]:
    """A service behind TLS, for clients that insist on it, and the certificate by which it is trusted."""
    place = folder / "secured"
    place.mkdir()
    certificate = make_certificate(place, ["localhost", "127.0.0.1"])
    with vivavoz(place, key=KEY, tls=certificate) as running:
        yield running, certificate[0]


@pytest.fixture(scope="session")
def strict(folder: Path) -> Iterator[tuple[Running, Path]]:
    """A service as strict as Azure, behind TLS, and its certificate: Azure's clients insist on it."""
    place = folder / "strict"
    place.mkdir()
    # Azure transcribes with deployments as well.
    deployments = f'[models."{DEPLOYMENT}"]\n[models."whisper-1"]\n'
    (place / "vivavoz.toml").write_text(f"[server]\nstrict_azure = true\n{deployments}")
    (place / "keys.json").write_bytes(key_set())
    certificate = make_certificate(place, ["localhost", "127.0.0.1"])
    environment = {
        "VIVAVOZ_CONFIG": str(place / "vivavoz.toml"),
        "VIVAVOZ_ENTRA_JWKS": str(place / "keys.json"),
        "VIVAVOZ_ENTRA_TENANTS": TENANT,
    }
    with vivavoz(place, key=KEY, tls=certificate, environment=environment) as running:
        yield running, certificate[0]


@pytest.fixture(scope="session")
def wav(folder: Path) -> Path:
    """The question, for clients that read a file."""
    return write_wav(folder / "question.wav", question("scripted"))


def run_client(
    command: Sequence[str | Path],
    folder: Path,
    environment: dict[str, str] | None = None,
    within_s: float = 240,
) -> dict[str, Any]:
    """What a client printed of its conversation. Its own words are the message where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-1000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def check_turns(result: dict[str, Any]) -> None:
    """A typed turn, a tool call, a spoken turn and an interruption, as every client goes through them."""
    assert result["text"]["said"] == "You said: Good evening."
    assert (result["tool"]["name"], result["tool"]["arguments"]) == ("get_weather", {"city": "Lisbon"})
    assert result["tool"]["said"] == "The result is: sunny"
    assert result["spoken"]["heard"].startswith("I said something for about")
    assert result["spoken"]["said"] == f"You said: {result['spoken']['heard']}"
    assert result["spoken"]["audio_ms"] > 300
    interruption = result["interruption"]
    assert (interruption["status"], interruption["reason"]) == ("cancelled", "turn_detected")
    assert interruption["next_status"] == "completed"
    assert result.get("errors", []) == []
