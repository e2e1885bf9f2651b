"""A person with a browser: speak, be heard, hear the answer, interrupt it, type, end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import STORY
from tests.chromium import chromium
from tests.embedded import require_models
from tests.running import Running, vivavoz
from tests.speech import real_speech, silence, write_microphone

pytestmark = pytest.mark.browser

YOU = ".turn-you .words"
THEM = ".turn-them .words"


ENERGY = """async () => {
    const report = await vivavoz.stats();
    const inbound = [...report.values()].find((s) => s.type === "inbound-rtp" && s.kind === "audio");
    return inbound.totalAudioEnergy;
}"""


NOTE_STATES = """() => {
    const state = document.querySelector("#state");
    globalThis.states = [state.textContent.trim()];
    new MutationObserver(() => states.push(state.textContent.trim()))
        .observe(state, { childList: true, characterData: true, subtree: true });
}"""
"""Keeps the states that are shown: a model's answer may be over before anybody looks."""


def energy(page: Page) -> float:
    """Sound that the browser has decoded and played in this call so far."""
    return float(page.evaluate(ENERGY))


def wait_for_sound(page: Page, more_than: float) -> None:
    page.wait_for_function(f"async (floor) => await ({ENERGY})() > floor", arg=more_than, polling=200)


def test_a_spoken_conversation(story_service: Running, speaker: Path) -> None:
    with chromium(speaker) as browser:
        page = browser.new_page(locale="en-GB")
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)

        page.goto(story_service.url)
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#state")).to_have_text("Listening")

        # Heard, and answered aloud.
        expect(page.locator(YOU).first).to_have_text("Tell me a long story.")
        expect(page.locator("#state")).to_have_text("Speaking")
        expect(page.locator(THEM).first).to_contain_text("Once upon a time")
        wait_for_sound(page, 0.001)

        # Interrupted by voice: cut where it was, answered anew.
        expect(page.locator(YOU).nth(1)).to_have_text("That is enough.")
        first = page.locator(".turn-them").first
        expect(first).to_contain_text("interrupted")
        said = first.locator(".said").inner_text().strip()
        assert said, "some of the story was heard"
        assert (STORY * 8).startswith(said)
        assert len(said) < len(STORY) * 4, "most of the story was not"
        expect(page.locator(THEM).nth(1)).to_have_text("Then I stop here.")
        expect(page.locator("#state")).to_have_text("Listening")
        before = energy(page)

        # Typed, and answered aloud.
        page.get_by_label("Type a line").fill("Is anybody there?")
        page.keyboard.press("Enter")
        expect(page.locator(YOU).nth(2)).to_have_text("Is anybody there?")
        expect(page.locator(THEM).nth(2)).to_have_text("You said: Is anybody there?")
        wait_for_sound(page, before)

        page.get_by_role("button", name="End", exact=True).click()
        expect(page.locator("#state")).to_have_text("Call ended")
        story_service.wait_for_calls(0)
        assert problems == []


def test_a_typed_line_starts_a_call_without_a_microphone(service: Running) -> None:
    with chromium() as browser:
        page = browser.new_page(locale="en-GB")
        page.goto(service.url)
        page.get_by_label("Type a line").fill("Only typing here")
        page.keyboard.press("Enter")
        expect(page.locator(THEM)).to_have_text("You said: Only typing here")
        wait_for_sound(page, 0.0001)
        expect(page.locator("#state")).to_have_text("Type to talk")


def test_a_typed_line_interrupts_the_answer(service: Running, quiet: Path) -> None:
    with chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB")
        page.goto(service.url)
        page.get_by_role("button", name="Start talking").click()
        line = page.get_by_label("Type a line")
        line.fill("Count to 60")
        line.press("Enter")
        expect(page.locator("#state")).to_have_text("Speaking")
        line.fill("Something else")
        line.press("Enter")
        expect(page.locator(THEM).nth(1)).to_have_text("You said: Something else")
        expect(page.locator(".turn-them").first).to_contain_text("interrupted")


def test_escape_interrupts_and_mute_silences(service: Running, quiet: Path) -> None:
    with chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB")
        page.goto(service.url)
        page.get_by_role("button", name="Start talking").click()
        page.get_by_label("Type a line").fill("Count to 60")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_text("Speaking")
        page.keyboard.press("Escape")
        expect(page.locator("#state")).to_have_text("Listening")
        mute = page.get_by_role("button", name="Mute", exact=True)
        mute.click()
        expect(page.locator("#state")).to_have_text("Muted")
        unmute = page.get_by_role("button", name="Unmute")
        expect(unmute).to_have_attribute("aria-pressed", "true")
        unmute.click()
        expect(page.locator("#state")).to_have_text("Listening")


@pytest.mark.embedded
def test_a_conversation_with_real_models(folder: Path) -> None:
    require_models()
    microphone = write_microphone(
        folder / "question.wav",
        silence(8),
        real_speech("What is the capital city of Portugal?"),
        silence(120),
    )
    with vivavoz(folder, engines="embedded") as running, chromium(microphone) as browser:
        page = browser.new_page(locale="en-GB")
        page.set_default_timeout(120_000)
        page.goto(running.url)
        expect(page.locator("#engines-summary")).to_contain_text("demo quality", timeout=60_000)
        page.evaluate(NOTE_STATES)
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator(YOU).first).to_contain_text("capital", timeout=120_000)
        page.wait_for_function("() => states.includes('Speaking')")
        wait_for_sound(page, 0.0001)
        expect(page.locator(THEM).first).to_have_text(re.compile(r"\S"), timeout=60_000)
