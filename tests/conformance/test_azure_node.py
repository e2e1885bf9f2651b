"""The official npm package's ``AzureOpenAI`` in Node, against a service that is as strict as Azure."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import DEPLOYMENT, KEY, check_turns
from tests.conformance.test_node import JS, node
from tests.running import Running
from tests.server.entra_tokens import token

pytestmark = pytest.mark.foreign


def talk(strict: tuple[Running, Path], wav: Path, *credential: str) -> subprocess.CompletedProcess[str]:
    service, certificate = strict
    return subprocess.run(
        [node(), "azure.mjs", service.url, DEPLOYMENT, wav, *credential],
        cwd=JS,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("kind", ["key", "token"])
def test_azures_client_talks(strict: tuple[Running, Path], wav: Path, kind: str) -> None:
    done = talk(strict, wav, kind, KEY if kind == "key" else token())
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["url"].startswith("/openai/v1/realtime?")
    assert f"model={DEPLOYMENT}" in result["url"]
    assert result["types"][0] == "session.created"
    check_turns(result)


def test_a_wrong_token_is_refused(strict: tuple[Running, Path], wav: Path) -> None:
    done = talk(strict, wav, "token", token(aud="https://graph.microsoft.com"))
    assert done.returncode == 1
    assert "401" in done.stderr
