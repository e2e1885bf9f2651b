"""What people build on the Realtime API in Python, over WebSocket, each in an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.conftest import KEY, ROOT, Services, check_turns, run_client
from tests.running import Running

pytestmark = pytest.mark.foreign

PROGRAMS = Path(__file__).parent / "python"


def talk(client: str, url: str, wav: Path) -> None:
    python = ROOT / f".venv-{client}/bin/python"
    if not python.exists():
        pytest.skip(f"the {client} client is not installed: make test")
    check_turns(run_client([python, "-I", PROGRAMS / f"{client}_client.py", url, KEY, wav], PROGRAMS))


@pytest.fixture
def service(services: Services) -> Running:
    return services.get("scripted")


def test_agents(service: Running, wav: Path) -> None:
    """openai-agents: `url` is taken as it is, so the model is in it."""
    talk("agents", f"{service.websocket_url}/realtime?model=gpt-realtime", wav)


def test_livekit(service: Running, wav: Path) -> None:
    """livekit-plugins-openai: it adds `/realtime`, and loses no item, or it raises."""
    talk("livekit", f"{service.url}/v1", wav)


def test_pipecat(service: Running, wav: Path) -> None:
    """pipecat-ai: any error event but three ends its connection."""
    talk("pipecat", f"{service.websocket_url}/realtime", wav)
