"""Every example does what it says, with the client it is for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.certificate import make_certificate
from tests.chromium import chromium
from tests.running import Running, free_port, vivavoz
from tests.speech import scripted_speech, silence, write_microphone

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SDK = ROOT / ".venv-openai/bin/python"
MODULES = ROOT / "tests/conformance/js/node_modules"
KEY = "a-key-for-the-tests"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with vivavoz(tmp_path_factory.mktemp("examples"), key=KEY) as running:
        yield running


def run(command: list[str | Path], folder: Path, service: Running, **more: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "VIVAVOZ_URL": f"{service.url}/v1",
        "VIVAVOZ_API_KEY": str(service.key),
        **more,
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def node_example(folder: Path, name: str) -> list[str | Path]:
    """The example beside the packages it needs, which the conformance tests have installed."""
    node = shutil.which("node")
    if node is None or not MODULES.exists():
        pytest.skip("Node.js or its packages are missing: make test")
    (folder / "node_modules").symlink_to(MODULES)
    shutil.copy(EXAMPLES / "node" / name, folder)
    return [node, name, "Is this on?"]


@pytest.mark.foreign
def test_python(service: Running, tmp_path: Path) -> None:
    if not SDK.exists():
        pytest.skip("the SDK's environment is missing: make test")
    said = run([SDK, EXAMPLES / "python/talk.py", "Is this on?"], tmp_path, service)
    assert said.startswith("You said: Is this on?")
    assert (tmp_path / "answer.wav").stat().st_size > 24_000


@pytest.mark.foreign
def test_node_websocket(service: Running, tmp_path: Path) -> None:
    said = run(node_example(tmp_path, "talk.mjs"), tmp_path, service)
    assert said.startswith("You said: Is this on?")
    assert (tmp_path / "answer.pcm").stat().st_size > 24_000


@pytest.mark.foreign
def test_node_sdk_over_tls(tmp_path: Path) -> None:
    command = node_example(tmp_path, "openai_sdk.mjs")
    certificate = make_certificate(tmp_path, ["127.0.0.1"])
    with vivavoz(tmp_path, key=KEY, tls=certificate) as service:
        said = run(command, tmp_path, service, NODE_EXTRA_CA_CERTS=str(certificate[0]))
    assert said.startswith("You said: Is this on?")


@pytest.mark.browser
def test_browser(service: Running, tmp_path: Path) -> None:
    port = free_port()
    where = {"PORT": str(port), "VIVAVOZ_URL": f"{service.url}/v1", "VIVAVOZ_API_KEY": KEY}
    back_end = subprocess.Popen(
        [sys.executable, EXAMPLES / "browser/server.py"],
        env={**os.environ, **where},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert back_end.stdout is not None
        site = back_end.stdout.readline().strip()
        microphone = write_microphone(
            tmp_path / "microphone.wav", silence(4), scripted_speech("What is a lighthouse for"), silence(60)
        )
        with chromium(microphone) as browser:
            page = browser.new_page()
            page.goto(site)
            page.get_by_role("button", name="Start").click()
            expect(page.locator("#words")).to_contain_text("You: I said something", timeout=20_000)
            expect(page.locator("#words")).to_contain_text("vivavoz: You said: I said", timeout=20_000)
            page.get_by_role("button", name="End").click()
        service.wait_for_calls(0)
    finally:
        back_end.terminate()
        back_end.wait(10)
