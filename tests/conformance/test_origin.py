"""The page that this project answers: its two services and two browser pages, run as they are printed there.

Nothing of it is kept here: where its text is at hand, its programs are taken out of it and run. Filled in
are only the names that it leaves to the reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import Page, expect

from tests.app.rig import listening
from tests.certificate import make_certificate
from tests.chromium import chromium
from tests.conformance.conftest import ROOT, question
from tests.running import Running, free_port, vivavoz
from tests.speech import silence, write_microphone
from vivavoz.app.config import App
from vivavoz.app.plan import Plan
from vivavoz.app.service import build, build_app

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
        deadline = time.monotonic() + 90
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
    deadline = time.monotonic() + 90
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


# ------------------------------------------------------------ its pages, before this project's application


class Ours:
    """This project's application in the place of the text's services, with one of its pages at ``/page``."""

    def __init__(self, folder: Path, number: int, resource: Running) -> None:
        self._page = programs()[1][number]
        self._folder = folder
        self._resource = resource
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self.calls: list[str] = []
        self.url = ""

    def __enter__(self) -> Ours:
        started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(started),))
        self._thread.start()
        assert started.wait(30)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        config = App(
            upstream="azure", endpoint=f"https://127.0.0.1:{self._resource.port}", model="gpt-realtime"
        )
        plan = Plan(app=config, state_dir=str(self._folder))
        application = build(plan, {"AZURE_OPENAI_API_KEY": KEY})
        application.started = lambda info: self.calls.append(info.call_id)

        async def page(request: web.Request) -> web.Response:
            return web.Response(text=self._page, content_type="text/html")

        async with listening(build_app(application, [web.get("/page", page)])) as url:
            self.url = f"{url}/page"
            started.set()
            await self._ended.wait()


@pytest.fixture
def trusted(folder: Path, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate of the resource's stand-in is trusted by this process, too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context())


@pytest.mark.usefixtures("trusted")
def test_the_first_page_gets_its_token_from_this_application(folder: Path, service: Running) -> None:
    with Ours(folder, 0, service) as ours, page_of(folder, ours.url, service) as page:
        shows(page, "Ephemeral Key Received")
        shows(page, '"type": "response.output_audio_transcript.done"')
        shows(page, '"type": "input_audio_buffer.speech_stopped"')
        text = page.locator("#logContainer").inner_text()
        assert "response.done" not in text
        page.locator('button:has-text("Close Session")').click()
        shows(page, "Session closed.")


@pytest.mark.usefixtures("trusted")
def test_the_second_page_connects_through_this_application(folder: Path, service: Running) -> None:
    with Ours(folder, 1, service) as ours, page_of(folder, ours.url, service) as page:
        shows(page, "AI transcript complete: You said: hello there!")
        # Here the filter is on unless somebody turns it off.
        assert "Response completed" not in page.locator("#logContainer").inner_text()
        assert len(ours.calls) == 1
        page.locator('button:has-text("Close Session")').click()
        shows(page, "Session closed.")
