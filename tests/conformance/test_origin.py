"""The page that this project answers: its two services and two browser pages, run as they are printed there.

Nothing of it is kept here: where its text is at hand, its programs are taken out of it and run. Filled in
are only the names that it leaves to the reader.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.certificate import make_certificate
from tests.chromium import chromium
from tests.conformance.conftest import ROOT, question
from tests.running import Running, free_port, vivavoz
from tests.speech import silence, write_microphone

pytestmark = [pytest.mark.foreign, pytest.mark.browser]

NAMED = os.environ.get("VIVAVOZ_ORIGIN_TEXT")
TEXT = Path(NAMED) if NAMED else next(ROOT.parent.glob("*/origin.txt"), ROOT / "origin.txt")
"""The page as text: named, or in a folder beside the checkout."""
PYTHON = ROOT / ".venv-openai/bin/python"
RUNNER = Path(__file__).parent / "python/run_service.py"

RESOURCE = "vivavoz-under-test"
HOST = f"{RESOURCE}.openai.azure.com"
KEY = "a-key-for-the-tests"
FILLED_IN = {
    "<your azure resource>": RESOURCE,
    "YOUR AZURE RESOURCE NAME": RESOURCE,
    "<your model deployment name>": "gpt-realtime",
    "<YOUR MODEL DEPLOYMENT NAME>": "gpt-realtime",
}


def programs() -> tuple[list[str], list[str]]:
    """The services and the pages in the text, in order."""
    if not TEXT.exists():
        pytest.skip("the origin's text is not at hand (VIVAVOZ_ORIGIN_TEXT names it)")
    if not PYTHON.exists():
        pytest.skip("the services' environment is missing: make test")
    text = TEXT.read_text()
    for blank, name in FILLED_IN.items():
        text = text.replace(blank, name)
    services = re.findall(r"^from flask import .*?^    print\(f\"  gunicorn [^\n]*", text, re.M | re.S)
    pages = re.findall(r"<!DOCTYPE html>.*?</html>", text, re.S)
    return services, pages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("origin")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Running]:
    """vivavoz in the resource's place."""
    with vivavoz(folder, key=KEY, tls=make_certificate(folder, [HOST, "127.0.0.1"])) as running:
        yield running


@contextlib.contextmanager
def token_service(folder: Path, number: int, resource: Running) -> Iterator[tuple[str, Path]]:
    """The text's service `number` beside its page: where it answers, and what it prints."""
    services, pages = programs()
    assert (len(services), len(pages)) == (2, 2)
    code, page, log = folder / f"service{number}.py", folder / f"page{number}.html", folder / f"{number}.log"
    code.write_text(services[number])
    page.write_text(pages[number])
    port = free_port()
    certificate = str(folder / "cert.pem")
    environment = {
        "PATH": os.environ["PATH"],
        "AZURE_RESOURCE": RESOURCE,
        "TOKEN": KEY,
        "REQUESTS_CA_BUNDLE": certificate,
        "SSL_CERT_FILE": certificate,
        "PYTHONUNBUFFERED": "1",
    }
    command = [PYTHON, RUNNER, code, page, str(port), HOST, str(resource.port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def page_of(folder: Path, url: str, resource: Running) -> Iterator[Page]:
    microphone = write_microphone(folder / "microphone.wav", silence(9), question("scripted"), silence(120))
    flags = [f"--host-resolver-rules=MAP {HOST} 127.0.0.1:{resource.port}", "--ignore-certificate-errors"]
    with chromium(microphone, flags) as browser:
        page = browser.new_page()
        page.set_default_timeout(30_000)
        page.goto(url)
        page.get_by_role("button", name="Start Session").click()
        yield page


def shows(page: Page, text: str) -> None:
    expect(page.locator("#logContainer p", has_text=text).first).to_be_attached(timeout=30_000)


def wait_for_line(log: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_the_first_page_talks_through_the_filter(folder: Path, service: Running) -> None:
    with token_service(folder, 0, service) as (url, log), page_of(folder, url, service) as page:
        shows(page, "Ephemeral Key Received")
        shows(page, "Audio stream assigned")
        shows(page, "Data channel is open")
        # Its typed line is answered, then what the microphone says is.
        shows(page, '"type": "response.output_audio_transcript.done"')
        shows(page, '"type": "output_audio_buffer.stopped"')
        shows(page, '"type": "input_audio_buffer.speech_stopped"')
        text = page.locator("#logContainer").inner_text()
        assert "response.done" not in text
        assert '"type": "session.' not in text
        page.locator('button:has-text("Close Session")').click()
        shows(page, "Session closed.")
        assert "Request failed" not in log.read_text()


def test_the_second_page_and_its_observer(folder: Path, service: Running) -> None:
    with token_service(folder, 1, service) as (url, log), page_of(folder, url, service) as page:
        shows(page, "Session created successfully")
        shows(page, "AI transcript complete: You said: hello there!")
        shows(page, "Response completed")
        # The observer joins when it can, perhaps after the first answer: it hears of the next one.
        wait_for_line(log, "response.done")
        page.locator('button:has-text("Close Session")').click()
        shows(page, "Session closed.")
        # The service ends its connection when the call ends.
        wait_for_line(log, "WebSocket monitoring completed")
        assert "WebSocket connection established" in log.read_text()
