"""`@openai/agents-realtime` in Chromium over WebRTC, as its quickstart uses it."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Page

from tests.chromium import chromium
from tests.conformance.conftest import EITHER_ENGINES, Services, question
from tests.speech import silence, write_microphone

pytestmark = [pytest.mark.foreign, pytest.mark.browser]

JS = Path(__file__).parent / "js"
WITHIN_MS = 240_000
"""A small model may talk for minutes, and this waits until it was heard to the end."""
LONG = (
    "Count to 90, one by one, and leave none out.",
    "Tell me a long story about a fox and a bear, in many sentences.",
    "Describe every month of the year, from January on, with two sentences for each.",
)


class QuietHandler(SimpleHTTPRequestHandler):
    """Files, without a line on the screen for each."""

    extensions_map: ClassVar[dict[str, str]] = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
    }

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def another_site(folder: Path) -> Iterator[str]:
    """A site of somebody else's, on its own origin."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def wait_for(page: Page, kind: str, count: int = 1) -> None:
    page.wait_for_function(
        "([kind, count]) => harness.seen.filter((event) => event.type === kind).length >= count",
        arg=[kind, count],
    )


def wait_for_sound(page: Page, more_than: float) -> None:
    page.wait_for_function("async (floor) => await harness.energy() > floor", arg=more_than, polling=200)


def count(page: Page, kind: str) -> int:
    return len([event for event in page.evaluate("harness.seen") if event["type"] == kind])


def interrupted(page: Page, question: str) -> bool:
    """Ask, and interrupt the answer; False where it had sounded to its end before that arrived."""
    begun = count(page, "output_audio_buffer.started")
    page.evaluate("(question) => harness.say(question)", question)
    wait_for(page, "output_audio_buffer.started", begun + 1)
    page.evaluate("harness.interrupt()")
    page.wait_for_function(
        """(begun) => {
            const is = (kind) => harness.seen.filter((event) => event.type === `output_audio_buffer.${kind}`);
            return is("cleared").length || is("stopped").length > begun;
        }""",
        arg=begun,
    )
    return count(page, "output_audio_buffer.cleared") > 0


def was_late(error: dict[str, Any]) -> bool:
    """The answer was complete while the SDK's word to cancel it was on its way."""
    return "response_cancel_not_active" in json.dumps(error)


@pytest.mark.parametrize("engines", EITHER_ENGINES)
def test_text_turn_spoken_turn_interruption(services: Services, tmp_path: Path, engines: str) -> None:
    if not (JS / "node_modules").exists():
        pytest.skip("the SDK is not installed: make test")
    service = services.get(engines)
    microphone = write_microphone(tmp_path / "microphone.wav", silence(8), question(engines), silence(120))
    with another_site(JS) as site, chromium(microphone) as browser:
        page = browser.new_page()
        page.set_default_timeout(WITHIN_MS)
        page.goto(f"{site}/harness.html")
        page.wait_for_function("globalThis.harness")
        connected = page.evaluate(
            "([url, key, withTool]) => harness.connect(url, key, withTool)",
            [f"{service.url}/v1/realtime/calls", service.mint(), engines == "scripted"],
        )
        assert connected["callId"].startswith("rtc_")
        # connect() waits for it, but not for ever.
        wait_for(page, "session.updated")

        # A spoken turn: the microphone speaks by itself.
        wait_for(page, "input_audio_buffer.speech_started")
        wait_for(page, "conversation.item.input_audio_transcription.completed")
        wait_for(page, "response.done")
        wait_for_sound(page, 0.0001)

        # A text turn.
        wait_for(page, "output_audio_buffer.stopped")
        before = page.evaluate("harness.energy()")
        page.evaluate("harness.say('Please say something about the sea.')")
        wait_for(page, "response.done", 2)
        wait_for_sound(page, before)
        wait_for(page, "output_audio_buffer.stopped", 2)

        if engines == "scripted":
            # A tool call: what a model makes of a tool is its own affair, a script calls it.
            page.evaluate("harness.say('Please get_weather for Lisbon.')")
            wait_for(page, "sdk.tool")
            wait_for(page, "response.done", 4)
            wait_for(page, "output_audio_buffer.stopped", 3)
            said = page.evaluate(
                "harness.seen.findLast((e) => e.type === 'response.output_audio_transcript.done').transcript"
            )
            assert said == "The result is: sunny"

        errors = [event for event in page.evaluate("harness.seen") if event["type"] in ("error", "sdk.error")]
        assert errors == []

        # An interruption. How long an answer is, a model decides; a script's is long.
        questions = LONG if engines == "embedded" else LONG[:1]
        assert any(interrupted(page, question) for question in questions), "no answer was cut"

        history = page.evaluate("harness.history()")
        assert {item["role"] for item in history if item["type"] == "message"} == {"user", "assistant"}
        errors = [event for event in page.evaluate("harness.seen") if event["type"] in ("error", "sdk.error")]
        assert [error for error in errors if engines == "scripted" or not was_late(error)] == []
        page.evaluate("harness.close()")
        service.wait_for_calls(0)
