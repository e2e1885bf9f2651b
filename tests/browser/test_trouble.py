"""What stands in the way is said in words, with a way on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import chromium
from tests.running import Running, vivavoz

pytestmark = pytest.mark.browser

KEY = "an-odd/key+(for)=the:tests"


def start(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Start talking").click()


def test_no_microphone_offers_typing(service: Running) -> None:
    with chromium() as browser:  # a machine without a microphone, or that refuses it
        page = browser.new_page(locale="en-GB")
        start(page, service.url)
        expect(page.locator("#notice-title")).to_have_text(
            re.compile("No microphone found|The microphone is blocked")
        )
        page.get_by_role("button", name="Go on by typing").click()
        expect(page.locator("#state")).to_have_text("Type to talk")
        expect(page.get_by_label("Type a line")).to_be_focused()


def test_a_key_is_asked_for_and_kept_in_the_tab_only(folder: Path, quiet: Path) -> None:
    with vivavoz(folder, key=KEY) as running, chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB")
        start(page, running.url)
        expect(page.locator("#notice-title")).to_have_text("This service asks for a key")

        page.get_by_label("Key", exact=True).fill("not the key")
        page.keyboard.press("Enter")
        expect(page.locator("#notice-title")).to_have_text("That key was refused")
        assert page.evaluate("sessionStorage.length") == 0

        page.get_by_label("Key", exact=True).fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("Listening")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]

        page.reload()
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#state")).to_have_text("Listening")
        # It is good for WebSockets too.
        expect(page.locator("#calls-count")).to_have_text("1")


def test_a_full_service_is_waited_for(folder: Path, quiet: Path) -> None:
    with (
        vivavoz(folder, environment={"VIVAVOZ_LIMIT_SESSIONS": "1"}) as running,
        chromium(quiet) as browser,
    ):
        first, second = browser.new_page(locale="en-GB"), browser.new_page(locale="en-GB")
        start(first, running.url)
        expect(first.locator("#state")).to_have_text("Listening")

        start(second, running.url)
        expect(second.locator("#notice-title")).to_have_text("The service cannot take the call yet")
        expect(second.locator("#notice-text")).to_contain_text("Trying again in")

        first.get_by_role("button", name="End", exact=True).click()
        expect(second.locator("#state")).to_have_text("Listening", timeout=40_000)
        expect(second.locator("#notice")).to_be_hidden()


def test_a_crashed_service_is_a_lost_connection(folder: Path, quiet: Path) -> None:
    with vivavoz(folder) as running, chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB")
        start(page, running.url)
        expect(page.locator("#state")).to_have_text("Listening")
        running.kill()
        expect(page.locator("#notice-title")).to_have_text("The connection was lost", timeout=40_000)
        expect(page.locator("#engines-summary")).to_have_text("The service does not answer")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#notice-title")).to_have_text("The service does not answer")


def test_a_service_that_shuts_down_ends_the_call(folder: Path, quiet: Path) -> None:
    with vivavoz(folder) as running, chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB")
        start(page, running.url)
        expect(page.locator("#state")).to_have_text("Listening")
        running.terminate()
        expect(page.locator("#notice-title")).to_have_text("The service ended the call")
