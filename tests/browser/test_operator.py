"""An operator beside a real call: what its browser gets and what not, steering, hanging up, playing back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_conversation import THEM, YOU, wait_for_sound
from tests.chromium import chromium
from tests.running import Running, vivavoz

pytestmark = pytest.mark.browser

KEPT_BACK = ("session.created", "response.created", "response.done")
ROWS = ".event-row"
NOTICE = "This call is recorded."
SCRIPT = """
[[turn]]
hears = "Tell me a long story."
says = "Once upon a time there was a telephone that answered by itself. "
repeat = 12
"""


@pytest.fixture
def recording_service(tmp_path: Path) -> Iterator[Running]:
    script = tmp_path / "recorded.toml"
    script.write_text(SCRIPT)
    settings = {"VIVAVOZ_APP_RECORDINGS_ENABLED": "true", "VIVAVOZ_APP_RECORDINGS_NOTICE": NOTICE}
    with vivavoz(tmp_path, script=script, environment=settings) as running:
        yield running


def at(page: Page) -> Locator:
    """The view that is shown: the others are there too, hidden."""
    return page.locator(".view:not([hidden])")


def rows(page: Page, kind: str) -> Locator:
    return at(page).locator(ROWS, has=page.get_by_text(kind, exact=True))


def start(page: Page, url: str, way: str) -> None:
    page.goto(url)
    expect(page.locator("#nav")).to_be_visible()
    page.get_by_text("Sound and connection").click()
    page.locator(f"input[name=way][value={way}]").check()
    page.get_by_role("button", name="Start talking").click()


@pytest.mark.parametrize("way", ["token", "connect"])
def test_a_call_behind_the_filter_is_watched_and_measured(service: Running, quiet: Path, way: str) -> None:
    with chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB", viewport={"width": 1500, "height": 900})
        start(page, service.url, way)
        expect(page.locator("#state")).to_have_text("Listening")
        page.get_by_role("button", name="Inspect").click()
        expect(at(page).locator(".observer-state")).to_have_text("Observer attached")
        page.get_by_label("Type a line").fill("Is anybody there?")
        page.keyboard.press("Enter")
        expect(page.locator(THEM)).to_have_text("You said: Is anybody there?")
        wait_for_sound(page, 0.0001)

        # The browser did not get what the observer got.
        for kind in KEPT_BACK:
            at(page).get_by_label("Search events").fill(f'"{kind}"')
            expect(rows(page, kind).first).to_have_attribute("data-where", "observer")
        at(page).get_by_label("Search events").fill("output_audio_buffer.started")
        expect(rows(page, "output_audio_buffer.started")).to_have_attribute("data-where", "both")
        at(page).get_by_label("Search events").fill('response.create"')
        expect(rows(page, "response.create")).to_have_attribute("data-sender", "browser")

        # The turn is measured, the session is shown, and an event goes through the observer.
        at(page).get_by_role("tab", name="Turns").click()
        expect(at(page).locator(".turn-times")).to_contain_text(re.compile(r"heard after \d+ ms"))
        at(page).get_by_role("tab", name="Session").click()
        expect(at(page).get_by_label("Transcription model")).to_have_value("whisper-1")
        at(page).get_by_role("tab", name="Send").click()
        at(page).get_by_label("Send through").select_option("observer")
        at(page).get_by_label("Client event").fill('{"type": "response.create"}')
        at(page).get_by_role("button", name="Send event").click()
        expect(page.locator(THEM)).to_have_count(2)

        # The path is shown, with its figures.
        expect(page.locator("#path-summary")).to_contain_text("Direct")
        expect(page.locator("#facts")).to_contain_text(
            re.compile(r"UDP \w+ [\d.]+:\d+ → host 127\.0\.0\.1:\d+")
        )
        expect(page.locator("#facts")).to_contain_text("kbit/s")
        page.get_by_role("button", name="End", exact=True).click()
        service.wait_for_calls(0)


@pytest.mark.parametrize("way", ["token", "connect"])
def test_a_call_is_steered_hung_up_and_played_back(
    recording_service: Running, speaker: Path, way: str
) -> None:
    with chromium(speaker) as browser:
        caller = browser.new_page(locale="en-GB")
        start(caller, recording_service.url, way)
        expect(caller.locator("#consent")).to_have_text(NOTICE)
        expect(caller.locator(YOU).first).to_have_text("Tell me a long story.")
        wait_for_sound(caller, 0.001)

        operator = browser.new_page(locale="en-GB", viewport={"width": 1500, "height": 900})
        operator.goto(f"{recording_service.url}/#/calls")
        operator.locator(".cards a").click()
        expect(at(operator).locator(".call-status")).to_have_text("Observer attached")
        expect(at(operator).locator(".turn-caller .words").first).to_have_text("Tell me a long story.")
        expect(at(operator).locator(".turn-them .words").first).to_contain_text("Once upon a time")

        at(operator).get_by_role("tab", name="Session").click()
        at(operator).get_by_label("Instructions", exact=True).fill("From now on, be brief.")
        at(operator).get_by_role("button", name="Send the update").click()
        at(operator).get_by_role("tab", name="Events").click()
        at(operator).get_by_label("Search events").fill("from now on, be brief")
        expect(rows(operator, "session.updated")).to_have_attribute("data-where", "observer")
        assert "be brief" not in caller.locator("#log").inner_text()

        at(operator).get_by_label("Words for this call").fill("Whisper that nobody else hears.")
        at(operator).get_by_role("button", name="Send", exact=True).click()
        at(operator).get_by_label("Search events").fill("whisper that nobody")
        expect(rows(operator, "conversation.item.added")).to_have_attribute("data-where", "observer")
        assert "Whisper that" not in caller.locator("#log").inner_text()

        at(operator).get_by_role("button", name="Hang up").click()
        operator.get_by_role("dialog").get_by_role("button", name="Hang up").click()
        expect(caller.locator("#notice-title")).to_have_text("The service ended the call")
        expect(at(operator).locator(".call-status")).to_contain_text("Ended.")

        operator.get_by_role("link", name="Recordings").click()
        recording = operator.locator("[data-recording] a")
        for _ in range(240):  # it is packed after the call, by a thread that yields to all else
            if recording.count():
                break
            operator.wait_for_timeout(250)
            operator.reload()
        recording.click()
        expect(at(operator).locator(".turn-caller .words").first).to_have_text("Tell me a long story.")
        play = at(operator).get_by_role("button", name="Play")
        expect(play).to_be_enabled()
        at(operator).get_by_role("button", name=re.compile("Once upon a time")).click()
        operator.wait_for_function("() => document.querySelector('.deck audio').currentTime > 1")
        loud = operator.evaluate(
            """async () => {
                const { getPeaks } = await import("/net/api.js");
                const { readPeaks } = await import("/model/recording.js");
                const id = document.querySelector("[data-recording]").dataset.recording;
                const { caller, assistant } = readPeaks(await getPeaks(id));
                return [Math.max(...caller), Math.max(...assistant)];
            }"""
        )
        assert min(loud) > 0.05, loud
        expect(at(operator).locator(ROWS).first).to_be_visible()


TOOLS = '''
"""What the desk's profile lets a model ask."""


def opening_hours(day: str = "today") -> str:
    """When the shop is open. day: a day of the week."""
    return f"{day}: nine to five"
'''
PROFILES = """
[profiles.default]
tools = ["desk_tools:opening_hours"]
session.instructions = "Nobody but the service may read this."
"""


def test_a_tool_of_the_server_answers_behind_the_filter(folder: Path, quiet: Path) -> None:
    (folder / "desk_tools.py").write_text(TOOLS)
    (folder / "profiles.toml").write_text(PROFILES)
    environment = {
        "PYTHONPATH": str(folder),
        "VIVAVOZ_APP_PROFILES": str(folder / "profiles.toml"),
        "VIVAVOZ_STATE_DIR": str(folder / "tools-state"),
    }
    with vivavoz(folder, environment=environment) as service, chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB", viewport={"width": 1500, "height": 900})
        start(page, service.url, "token")
        expect(page.locator("#state")).to_have_text("Listening")
        page.get_by_role("button", name="Inspect").click()
        expect(at(page).locator(".observer-state")).to_have_text("Observer attached")
        page.get_by_label("Type a line").fill("Ask opening_hours, please.")
        page.keyboard.press("Enter")
        expect(page.locator(THEM).last).to_have_text("The result is: today: nine to five")
        # The call of the tool went past the browser.
        at(page).get_by_label("Search events").fill('"response.function_call_arguments.done"')
        expect(rows(page, "response.function_call_arguments.done")).to_have_attribute(
            "data-where", "observer"
        )
