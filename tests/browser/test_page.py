"""The page itself: its languages, its manners, and the pure modules inside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.chromium import chromium
from tests.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def page(service: Running, quiet: Path) -> Iterator[Page]:
    with chromium(quiet) as browser:
        made = browser.new_page(locale="en-GB")
        made.goto(service.url)
        yield made


def test_every_word_exists_in_every_language(page: Page) -> None:
    tables: dict[str, dict[str, str]] = page.evaluate("import('/words/words.js').then((m) => m.tables)")
    assert set(tables) == {"en", "pt"}
    assert set(tables["en"]) == set(tables["pt"])
    for words in tables.values():
        assert all(text.strip() for text in words.values())


def test_portuguese_for_those_who_speak_it(service: Running) -> None:
    with chromium() as browser:
        page = browser.new_page(locale="pt-BR")
        page.goto(service.url)
        expect(page.get_by_role("button", name="Começar a falar")).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "pt")


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(service: Running, quiet: Path) -> None:
    with chromium(quiet) as browser:
        page = browser.new_page(locale="en-GB")
        asked: list[str] = []
        problems: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        answer = page.goto(service.url)
        assert answer is not None
        expect(page.locator("#lamp")).to_have_attribute("data-lamp", "demo")
        assert all(url.startswith(service.url) for url in asked), asked
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert problems == []


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_no_width_needs_sideways_scrolling(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("#talk", "#line"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 700


def tab_to(page: Page, target: Locator, at_most: int) -> None:
    for _ in range(at_most):
        page.keyboard.press("Tab")
        if target.evaluate("(e) => e === document.activeElement"):
            return
    raise AssertionError(f"not reached in {at_most} steps")


def test_a_call_by_keyboard_alone(page: Page) -> None:
    expect(page.get_by_role("link", name="Talk")).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the page")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Start talking"), 2)
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Listening")
    end = page.get_by_role("button", name="End", exact=True)
    tab_to(page, end, 6)
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Call ended")
    expect(page.get_by_role("button", name="Start talking")).to_be_focused()


# --------------------------------------------------------------------------- transcript.js, without a call

Step = tuple[float, dict[str, Any]]


def play(page: Page, *steps: Step) -> list[dict[str, Any]]:
    """Feed events at their times (ms) to a Transcript, moving its clock; the lines at the end."""
    lines: list[dict[str, Any]] = page.evaluate(
        """async (steps) => {
            const { Transcript } = await import("/model/transcript.js");
            const transcript = new Transcript(() => {});
            for (const [now, event] of steps) {
                transcript.tick(now);
                transcript.apply(event, now);
            }
            return transcript.lines;
        }""",
        [list(step) for step in steps],
    )
    return lines


def answer(text: str, item: str = "item_a") -> dict[str, Any]:
    return {
        "type": "response.output_audio_transcript.delta",
        "response_id": "resp_1",
        "item_id": item,
        "delta": text,
    }


def test_your_line_stands_before_the_answer_though_its_words_come_later(page: Page) -> None:
    heard = "conversation.item.input_audio_transcription.completed"
    lines = play(
        page,
        (0, {"type": "input_audio_buffer.speech_started", "item_id": "item_u"}),
        (900, answer("Sure.")),
        (950, {"type": heard, "item_id": "item_u", "transcript": " Could you? "}),
    )
    assert [(line["who"], line["text"]) for line in lines] == [("you", "Could you?"), ("them", "Sure.")]


def test_a_turn_without_words_leaves_no_line(page: Page) -> None:
    heard = "conversation.item.input_audio_transcription.completed"
    lines = play(
        page,
        (0, {"type": "input_audio_buffer.speech_started", "item_id": "item_u"}),
        (900, {"type": heard, "item_id": "item_u", "transcript": ""}),
    )
    assert lines == []


def test_words_are_said_at_the_pace_of_the_voice(page: Page) -> None:
    text = "one two three four five six seven eight nine ten"
    (line,) = play(
        page,
        (0, answer(text)),
        (0, {"type": "output_audio_buffer.started", "response_id": "resp_1"}),
        (1000, {"type": "rate_limits.updated"}),
    )
    said = line["text"][: line["said"]]
    assert said == "one two three four"
    assert not line["cut"]


def test_a_cut_answer_keeps_the_words_that_the_service_kept(page: Page) -> None:
    (line,) = play(
        page,
        (0, answer("one two three four five six seven eight nine ten")),
        (0, {"type": "output_audio_buffer.started", "response_id": "resp_1"}),
        (1000, {"type": "conversation.item.truncated", "item_id": "item_a", "audio_end_ms": 1000}),
        (1000, {"type": "output_audio_buffer.cleared", "response_id": "resp_1"}),
        (
            1010,
            {
                "type": "conversation.item.retrieved",
                "item": {"id": "item_a", "content": [{"type": "output_audio", "transcript": "one two"}]},
            },
        ),
    )
    assert line["cut"]
    assert line["text"][: line["said"]] == "one two"
    assert line["note"] == "interrupted"


def test_an_answer_that_was_heard_to_its_end_is_not_cut_afterwards(page: Page) -> None:
    (line,) = play(
        page,
        (0, answer("All of it.")),
        (0, {"type": "output_audio_buffer.started", "response_id": "resp_1"}),
        (900, {"type": "output_audio_buffer.stopped", "response_id": "resp_1"}),
        (950, {"type": "output_audio_buffer.cleared", "response_id": "resp_1"}),
    )
    assert (line["said"], line["cut"]) == (len("All of it."), False)


def test_a_failed_answer_is_named(page: Page) -> None:
    (line,) = play(page, (0, {"type": "response.done", "response": {"id": "resp_1", "status": "failed"}}))
    assert line["note"] == "failedAnswer"
