"""The official Python SDK over WebSocket: with the key, with a secret of its minting, as Azure's client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import (
    DEPLOYMENT,
    EITHER_ENGINES,
    KEY,
    ROOT,
    Services,
    question,
    run_client,
)
from tests.running import Running
from tests.server.entra_tokens import token
from tests.speech import write_wav

pytestmark = pytest.mark.foreign

PYTHON = ROOT / ".venv-openai/bin/python"
CLIENT = Path(__file__).parent / "python/sdk_client.py"

ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
"""One spoken message, without its deltas, in the order that the hosted service gives."""


def run_sdk(
    url: str, key: str, wav: Path, *flags: str, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    if not PYTHON.exists():
        pytest.skip("the SDK's environment is missing: make test")
    command = [PYTHON, "-I", CLIENT, url, key, wav, *flags]
    return run_client(command, CLIENT.parent, environment, within_s=600)


def answer_of(types: list[str]) -> list[str]:
    """The events of the first answer, deltas and what belongs to the caller's turn left out."""
    start = types.index("response.created")
    about_the_answer = [t for t in types[start:] if t in ANSWER]
    return about_the_answer[: about_the_answer.index("response.done") + 1]


@pytest.mark.parametrize("credential", ["key", "minted"])
@pytest.mark.parametrize("engines", EITHER_ENGINES)
def test_text_turn_spoken_turn_interruption(
    services: Services, tmp_path: Path, engines: str, credential: str
) -> None:
    service = services.get(engines)
    wav = write_wav(tmp_path / "question.wav", question(engines))
    flags = ["--minted"] if credential == "minted" else []
    if engines == "scripted":
        flags.append("--scripted")

    result = run_sdk(f"{service.url}/v1", str(service.key), wav, *flags)

    assert result["first"]["types"] == ["session.created"]

    text = result["text"]
    assert text["types"][:2] == ["conversation.item.added", "conversation.item.done"]
    assert answer_of(text["types"]) == ANSWER
    # A small model may talk until its longest answer.
    to_its_end = ("completed", "incomplete") if engines == "embedded" else ("completed",)
    assert text["status"] in to_its_end
    assert text["audio_ms"] > 300
    assert text["said"]

    if engines == "scripted":
        tool = result["tool"]
        assert (tool["name"], tool["arguments"]) == ("get_weather", {"city": "Lisbon"})
        assert tool["said"] == "The result is: sunny"

    spoken = result["spoken"]
    assert answer_of(spoken["types"]) == ANSWER
    turn = [t for t in spoken["types"] if t.startswith("input_audio_buffer.")][:3]
    assert turn == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    assert spoken["heard"]
    assert spoken["audio_ms"] > 300
    if engines == "embedded":
        assert "capital" in spoken["heard"].lower()

    interruption = result["interruption"]
    assert (interruption["status"], interruption["reason"]) == ("cancelled", "turn_detected")
    assert interruption["cut_ms"] == 300
    assert interruption["next_status"] in to_its_end


@pytest.mark.parametrize("kind", ["key", "token"])
def test_azures_client(strict: tuple[Running, Path], wav: Path, kind: str) -> None:
    """`AsyncAzureOpenAI` names a deployment and an API version, and always `wss:`."""
    service, certificate = strict
    result = run_sdk(
        service.url,
        KEY if kind == "key" else token(),
        wav,
        f"--azure={kind}",
        f"--model={DEPLOYMENT}",
        "--scripted",
        environment={**os.environ, "SSL_CERT_FILE": str(certificate)},
    )
    assert answer_of(result["text"]["types"]) == ANSWER
    assert result["tool"]["said"] == "The result is: sunny"
    assert result["spoken"]["said"] == f"You said: {result['spoken']['heard']}"
    assert result["interruption"]["reason"] == "turn_detected"
    assert result["interruption"]["next_status"] == "completed"
