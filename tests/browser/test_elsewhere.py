"""The console where things are elsewhere or gone: a hosted service, a killed application, blocked sound."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.app.test_alone import running as application
from tests.app.test_serving import process_of
from tests.browser.test_conversation import THEM, wait_for_sound
from tests.browser.test_operator import at, rows
from tests.chromium import chromium
from tests.running import vivavoz

pytestmark = pytest.mark.browser

KEY = "a-key-of-the-hosted-service"


def test_a_call_with_a_service_that_is_elsewhere(folder: Path, quiet: Path, tmp_path: Path) -> None:
    """As with OpenAI: no filter, offers to another origin, and no list of calls."""
    with (
        vivavoz(folder, key=KEY) as service,
        application(
            ["--upstream", "openai", "--endpoint", service.url], tmp_path, {"OPENAI_API_KEY": KEY}
        ) as (url, _, _),
        chromium(quiet) as browser,
    ):
        page = browser.new_page(locale="en-GB", viewport={"width": 1500, "height": 900})
        problems: list[str] = []
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        offered: list[str] = []
        page.on("request", lambda request: offered.append(request.url) if request.method == "POST" else None)
        page.goto(url)
        page.get_by_text("Sound and connection").click()
        expect(page.locator("#way-token-text")).to_contain_text("This browser can read the session")
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#state")).to_have_text("Listening")
        page.get_by_role("button", name="Inspect").click()
        expect(at(page).locator(".observer-state")).to_have_text("Observer attached")
        page.get_by_label("Type a line").fill("Is anybody there?")
        page.keyboard.press("Enter")
        expect(page.locator(THEM)).to_have_text("You said: Is anybody there?")
        wait_for_sound(page, 0.0001)
        assert any(each.startswith(f"{service.url}/v1/realtime/calls") for each in offered), offered
        assert not any("webrtcfilter" in each for each in offered)

        # Nothing is kept back, and the times are those of the events.
        at(page).get_by_label("Search events").fill('"response.done"')
        expect(rows(page, "response.done").first).to_have_attribute("data-where", "both")
        at(page).get_by_role("tab", name="Turns").click()
        expect(at(page).locator(".turn-times").first).to_contain_text("From the times of the events")
        assert KEY not in page.content()
        assert problems == []


def test_an_application_that_is_killed_ends_no_call(folder: Path, quiet: Path) -> None:
    with vivavoz(folder) as service, chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB", viewport={"width": 1500, "height": 900})
        page.goto(service.url)
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#state")).to_have_text("Listening")
        page.get_by_role("button", name="Inspect").click()
        state = at(page).locator(".observer-state")
        expect(state).to_have_text("Observer attached")
        os.kill(process_of(service), signal.SIGKILL)
        expect(state).to_have_text(re.compile("Reconnecting|attaching"))
        page.get_by_label("Type a line").fill("Are you still there?")
        page.keyboard.press("Enter")
        expect(page.locator(THEM)).to_have_text("You said: Are you still there?")
        expect(state).to_have_text("Observer attached")
        at(page).get_by_label("Search events").fill("output_audio_transcript.done")
        expect(rows(page, "response.output_audio_transcript.done")).to_have_attribute("data-where", "both")
        expect(page.locator("#link")).to_have_text("")


def test_where_sound_finds_no_way_the_page_tells_how_far_it_came(folder: Path, quiet: Path) -> None:
    """The service names an address that nobody has (RFC 5737)."""
    with (
        vivavoz(folder, environment={"VIVAVOZ_ADVERTISE": "192.0.2.77"}) as service,
        chromium(quiet) as browser,
    ):
        page = browser.new_page(locale="en-GB")
        page.goto(service.url)
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#notice-title")).to_have_text("No sound path to the service", timeout=40_000)
        expect(page.locator("#doctor")).to_contain_text("Nothing came back from udp 192.0.2.77:")
