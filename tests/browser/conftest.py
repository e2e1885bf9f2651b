"""The page in a real browser, against a real service with scripted engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.running import Running, vivavoz
from tests.speech import scripted_speech, silence, write_microphone

# The machine may be busy with other tests. (Five seconds, if nothing is said.)
expect.set_options(timeout=30_000)

STORY = "Once upon a time there was a telephone that answered by itself and never got tired of talking. "
SCRIPT = f"""
[[turn]]
hears = "Tell me a long story."
says = "{STORY}"
repeat = 8

[[turn]]
hears = "That is enough."
says = "Then I stop here."
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture
def story_service(folder: Path) -> Iterator[Running]:
    """Its first spoken turn is answered for a minute, its second one shortly, typed lines are echoed."""
    script = folder / "story.toml"
    script.write_text(SCRIPT)
    with vivavoz(folder, script=script) as running:
        yield running


@pytest.fixture(scope="session")
def service(folder: Path) -> Iterator[Running]:
    with vivavoz(folder) as running:
        yield running


@pytest.fixture(scope="session")
def speaker(folder: Path) -> Path:
    """Speaks twice: once after the call was surely made, once while the first answer is being given."""
    return write_microphone(
        folder / "twice.wav",
        silence(7),
        scripted_speech("Would you tell me a long story"),
        silence(6),
        scripted_speech("That is quite enough for today"),
        silence(120),
    )


@pytest.fixture(scope="session")
def quiet(folder: Path) -> Path:
    """A microphone in an empty room."""
    return write_microphone(folder / "quiet.wav", silence(120))
