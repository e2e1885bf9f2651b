"""The console before a back end of plain data: what it shows, what it sends, and what it survives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.console_backend import BEGAN, Backend, call_state, console_backend, entry, line
from tests.browser.sample import ANSWER, HEARD, QUESTION, SESSION, fill_sample
from tests.chromium import chromium

pytestmark = pytest.mark.browser

CHECKS = (Path(__file__).parent / "checks.js").read_text()
ROWS = ".event-row"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def backend() -> Iterator[Backend]:
    with console_backend() as made:
        fill_sample(made)
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900})
    made = context.new_page()
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda told: problems.append(told.text) if "Content Security" in told.text else None)
    yield made
    context.close()
    assert problems == []


def is_sent(page: Page, backend: Backend, count: int) -> list[dict[str, Any]]:
    """What the back end got, once it is so many events."""
    for _ in range(600):
        if len(backend.sent) >= count:
            break
        page.wait_for_timeout(50)
    assert len(backend.sent) == count, backend.sent
    return backend.sent


def at(page: Page) -> Locator:
    """The view that is shown: the others are there too, hidden."""
    return page.locator(".view:not([hidden])")


# ------------------------------------------------------------------------------------------- live calls


def test_calls_are_listed_and_one_is_watched(page: Page, backend: Backend) -> None:
    page.goto(backend.url)
    expect(page.locator("#calls-count")).to_have_text("1")
    page.get_by_role("link", name="Live calls").click()
    expect(at(page).locator(".cards li")).to_have_count(2)
    at(page).get_by_role("link", name=re.compile("maria")).click()
    expect(page).to_have_url(re.compile("#/calls/rtc_1$"))
    expect(at(page).locator(".call-status")).to_have_text("Observer attached")
    expect(at(page).locator(".turn-caller .words").first).to_have_text(QUESTION)
    cut = at(page).locator(".turn-them").first
    expect(cut.locator(".said")).to_have_text(HEARD)
    expect(cut.locator(".cut")).to_have_text(ANSWER[len(HEARD) :])
    expect(at(page).locator(".turn-tool")).to_have_count(2)

    backend.happens("rtc_1", entry(90, {"type": "response.created", "event_id": "event_new"}))
    expect(at(page).locator(ROWS).last).to_contain_text("response.created")
    turned = call_state(session=SESSION, transcript=[line("item_9", "user", "Hello?")], last_words="Hello?")
    backend.call(turned)
    expect(at(page).locator(".turn-caller .words")).to_have_text(["Hello?"])
    expect(at(page).locator(".card-words").first).to_have_text("Hello?")
    backend.ends("rtc_1", "The caller left.")
    expect(at(page).locator(".call-status")).to_have_text("Ended. The caller left.")
    expect(at(page).get_by_role("button", name="Hang up")).to_be_disabled()
    expect(page.locator("#calls-count")).to_have_text("")


def test_the_lens_shows_what_each_side_gets(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".log-count")).to_have_text("25 events")
    done = at(page).locator(ROWS, has_text="response.done")
    expect(done).to_have_attribute("data-where", "observer")
    expect(done.locator(".cell-browser.withheld")).to_have_count(1)
    added = at(page).locator(ROWS, has_text="conversation.item.added").first
    expect(added).to_have_attribute("data-where", "both")
    at(page).get_by_role("radio", name="Browser").check()
    expect(at(page).locator(".log-count")).to_have_text("17 of 25")
    expect(at(page).locator(ROWS, has_text="session.created")).to_have_count(0)
    at(page).get_by_role("radio", name="Observer").check()
    expect(at(page).locator(".log-count")).to_have_text("25 events")


def test_events_are_searched_filtered_and_read_as_json(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".log-count")).to_have_text("25 events")
    at(page).get_by_label("Search events").fill("offer TEA")
    expect(at(page).locator(".log-count")).to_have_text("1 of 25")
    expect(at(page).locator(ROWS)).to_have_attribute("data-sender", "console")
    at(page).locator(ROWS).click()
    shown = json.loads(at(page).get_by_label("The event as JSON").inner_text())
    assert shown["item"]["content"][0]["text"] == "Offer tea."
    at(page).get_by_role("button", name="Close", exact=True).click()
    at(page).get_by_label("Search events").fill("")
    at(page).get_by_label("Type of event").select_option("response.output_audio_transcript")
    expect(at(page).locator(".log-count")).to_have_text("10 of 25")
    at(page).get_by_label("Search events").fill("no such words")
    expect(at(page).get_by_text("No event matches.")).to_be_visible()


def test_the_log_holds_still_while_it_is_read(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".log-count")).to_have_text("25 events")
    at(page).get_by_role("button", name="Pause").click()
    backend.happens("rtc_1", *(entry(100 + n, {"type": "late", "event_id": f"late_{n}"}) for n in range(3)))
    expect(at(page).get_by_role("button", name="Resume (3 new)")).to_be_visible()
    expect(at(page).locator(ROWS, has_text="late")).to_have_count(0)
    at(page).get_by_role("button", name="Resume (3 new)").click()
    expect(at(page).locator(ROWS, has_text="late")).to_have_count(3)


def test_data_is_never_taken_for_markup(page: Page, backend: Backend) -> None:
    nasty = "<img src=x onerror=alert(1)><b>bold</b>"
    state = call_state(user=nasty, transcript=[line("item_1", "user", nasty)], last_words=nasty)
    backend.call(state, [entry(1, {"type": nasty, "delta": nasty, "event_id": "event_x"})])
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".turn-caller .words")).to_have_text(nasty)
    at(page).locator(ROWS).click()
    expect(at(page).get_by_label("The event as JSON")).to_contain_text(nasty)
    assert at(page).locator("img, p b").count() == 0


def test_an_operator_steps_in(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".call-status")).to_have_text("Observer attached")
    at(page).get_by_label("Words for this call").fill("The kitchen closes at two.")
    page.keyboard.press("Enter")
    item, answer = is_sent(page, backend, 2)
    assert item["type"] == "conversation.item.create"
    assert item["item"]["role"] == "system"
    assert item["item"]["private"] is True
    assert item["item"]["content"] == [{"type": "input_text", "text": "The kitchen closes at two."}]
    assert answer == {"type": "response.create"}

    at(page).get_by_role("button", name="Cancel answer").click()
    cancelled = [event["type"] for event in is_sent(page, backend, 4)[2:]]
    assert cancelled == ["response.cancel", "output_audio_buffer.clear"]

    at(page).get_by_label("What to do with the words").select_option("say")
    at(page).get_by_label("Words for this call").fill("One moment.")
    at(page).get_by_role("button", name="Send", exact=True).click()
    said = is_sent(page, backend, 5)[4]
    assert said["type"] == "response.create"
    assert "One moment." in said["response"]["instructions"]


def test_hanging_up_asks_first(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    hang_up = at(page).get_by_role("button", name="Hang up")
    hang_up.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    assert backend.hung_up == []
    hang_up.click()
    page.get_by_role("dialog").get_by_role("button", name="Hang up").click()
    expect(at(page).get_by_text("Hung up.")).to_be_visible()
    assert backend.hung_up == ["rtc_1"]


def test_the_session_is_changed_by_form_and_only_what_differs_is_sent(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    at(page).get_by_role("tab", name="Session").click()
    send = at(page).get_by_role("button", name="Send the update")
    expect(send).to_be_disabled()
    at(page).get_by_label("Instructions", exact=True).fill("Speak like a pirate.")
    at(page).get_by_label("Silence that ends a turn (ms)").fill("700")
    send.click()
    (update,) = is_sent(page, backend, 1)
    detection = {**SESSION["audio"]["input"]["turn_detection"], "silence_duration_ms": 700}
    assert update == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Speak like a pirate.",
            "audio": {"input": {"turn_detection": detection}},
        },
    }


def test_the_session_as_json_and_what_is_wrong_with_it(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    at(page).get_by_role("tab", name="Session").click()
    at(page).get_by_label("Speed").fill("9")
    expect(at(page).get_by_text("audio.output.speed: must be between 0.25 and 1.5")).to_be_visible()
    expect(at(page).get_by_label("Speed")).to_have_attribute("aria-invalid", "true")
    at(page).get_by_role("button", name="Reset").click()
    at(page).get_by_role("button", name="As JSON").click()
    text = at(page).get_by_label("The session as JSON")
    written = json.loads(text.input_value())
    assert "id" not in written
    text.fill("{")
    expect(at(page).locator(".session-view .problems")).to_contain_text("not JSON")
    text.fill(json.dumps({**written, "tool_choice": "none", "moods": 3}))
    expect(at(page).get_by_text("moods: no such member")).to_be_visible()
    text.fill(json.dumps({**written, "tool_choice": "none"}))
    at(page).get_by_role("button", name="As a form").click()
    expect(at(page).get_by_label("Tool choice")).to_have_value("none")
    at(page).get_by_role("button", name="Send the update").click()
    assert is_sent(page, backend, 1)[0]["session"] == {"type": "realtime", "tool_choice": "none"}


def test_any_client_event_is_sent(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    at(page).get_by_role("tab", name="Send").click()
    at(page).get_by_label("Template", exact=True).select_option(label="conversation.item.retrieve")
    text = at(page).get_by_label("Client event")
    assert json.loads(text.input_value())["type"] == "conversation.item.retrieve"
    text.fill("[1]")
    at(page).get_by_role("button", name="Send event").click()
    expect(at(page).get_by_text("must be an object")).to_be_visible()
    text.fill('{"type": "conversation.item.retrieve", "item_id": "item_4"}')
    text.press("Control+Enter")
    expect(at(page).get_by_text("Sent conversation.item.retrieve.")).to_be_visible()
    assert is_sent(page, backend, 1) == [{"type": "conversation.item.retrieve", "item_id": "item_4"}]


def test_each_turn_has_its_waterfall(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    at(page).get_by_role("tab", name="Turns").click()
    expect(at(page).locator(".turns-summary")).to_have_text(
        "3 answered · median 902 ms · slowest twentieth 962 ms"
    )
    newest = at(page).locator(".turn-times").first
    expect(newest).to_contain_text("Turn 3")
    expect(newest.locator(".block")).to_have_count(6)
    boxes = [box for block in newest.locator(".block").all() if (box := block.bounding_box())]
    assert [box["x"] for box in boxes] == sorted(box["x"] for box in boxes)
    for one, other in pairwise(boxes):
        assert one["x"] + one["width"] == pytest.approx(other["x"], abs=2)
    expect(at(page).locator(".turn-times").nth(1)).to_contain_text("interrupted")


def test_a_flood_of_events_does_not_freeze_the_log(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".log-count")).to_have_text("25 events")
    drawn = page.evaluate(
        """async () => {
            const { EventLog } = await import("/model/lens.js");
            const { LogView } = await import("/view/log-view.js");
            const log = new EventLog();
            const view = new LogView(log, () => 0);
            document.querySelector("#view-calls .panel-log").replaceChildren(view.root);
            const frames = [];
            let last = performance.now();
            for (let n = 1; n <= 60_000; n++) {
                const type = `response.kind_${n % 40}.delta`;
                const event = { type, event_id: `e_${n}`, delta: `word ${n}` };
                log.fromObserver({ n, at: n / 1000, sender: "server", seen: n % 3 === 0, event });
                view.refresh();
                if (n % 2_000) continue;
                await new Promise(requestAnimationFrame);
                frames.push(performance.now() - last);
                last = performance.now();
            }
            const elements = view.root.querySelectorAll("*").length;
            return { size: log.size, dropped: log.dropped, elements, frames };
        }"""
    )
    assert drawn["size"] + drawn["dropped"] == 60_000
    assert 50_000 <= drawn["size"] <= 51_000
    assert drawn["elements"] < 1_500
    assert sorted(drawn["frames"])[len(drawn["frames"]) // 2] < 1_000, drawn["frames"]
    at(page).get_by_label("Search events").fill("word 59999")
    expect(at(page).locator(ROWS)).to_have_count(1)


# ------------------------------------------------------------------------------------------- trouble


def test_a_lost_observer_is_seen_and_the_page_comes_back(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_1")
    expect(at(page).locator(".call-status")).to_have_text("Observer attached")
    state = backend.calls["rtc_1"]
    backend.call({**state, "observer": "lost"})
    expect(at(page).locator(".call-status")).to_have_text("Observer lost, trying again")
    backend.calls["rtc_1"] = {
        **state,
        "gaps": [{"since": BEGAN + 65, "until": BEGAN + 70, "reason": "restarted"}],
    }
    # The process that comes back counts its entries anew; none is shown twice, none is missing.
    fresh = [{**each, "n": n} for n, each in enumerate(backend.entries["rtc_1"][-3:], 1)]
    backend.entries["rtc_1"] = [
        *fresh,
        entry(4, {"type": "after.the.restart", "event_id": "event_after"}, at=70),
    ]
    backend.drop_everybody()
    expect(at(page).locator(ROWS, has_text="after.the.restart")).to_be_visible()
    expect(at(page).locator(".log-count")).to_have_text("26 events")
    expect(at(page).locator(".call-status")).to_have_text("Observer attached")
    expect(at(page).locator(".sheet .problems")).to_have_text("Not observed from 1:05 to 1:10: restarted")


def test_a_call_that_is_gone_is_said_to_be(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/calls/rtc_unknown")
    expect(at(page).locator(".call-status")).to_have_text("Observer refused: There is no such call.")


def test_an_application_that_restarts_is_waited_for(page: Page, backend: Backend) -> None:
    page.goto(backend.url)
    expect(page.locator("#nav")).to_be_visible()
    backend.refuse["/api/app"] = (502, {"message": "The application does not answer."})
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#link")).to_have_text("Reconnecting…")
    backend.refuse.clear()
    expect(page.locator("#link")).to_have_text("")
    expect(page.locator("#nav")).to_be_visible()


def test_a_stranger_sees_the_telephone_only_and_a_key_opens_the_rest(page: Page, backend: Backend) -> None:
    backend.key = "operator-key"
    page.goto(f"{backend.url}/#/calls")
    expect(at(page).get_by_role("button", name="Start talking")).to_be_visible()
    expect(page.locator("#nav")).to_be_hidden()
    expect(page.locator("#inspect")).to_be_hidden()
    page.get_by_role("button", name="Operator key").click()
    at(page).get_by_label("Key", exact=True).fill("not the key")
    page.keyboard.press("Enter")
    expect(page.locator("#notice-title")).to_have_text("That key was refused")
    at(page).get_by_label("Key", exact=True).fill("operator-key")
    page.keyboard.press("Enter")
    expect(page.locator("#nav")).to_be_visible()
    expect(page.locator("#calls-count")).to_have_text("1")
    page.get_by_role("link", name="Recordings").click()
    at(page).get_by_role("link", name=re.compile("maria")).click()
    expect(at(page).get_by_role("button", name="Play")).to_be_enabled()


def test_a_caller_is_told_of_recording_and_of_what_the_browser_can_read(page: Page, backend: Backend) -> None:
    backend.info = {
        **backend.info,
        "user": {"name": "guest", "operator": False},
        "notice": "Calls are recorded to train our staff.",
        "browser_reads_session": {"token": True, "connect": False},
    }
    page.goto(backend.url)
    expect(page.locator("#consent")).to_have_text("Calls are recorded to train our staff.")
    expect(at(page).get_by_role("button", name="Start talking")).to_have_accessible_description(
        "Calls are recorded to train our staff."
    )
    at(page).get_by_text("Sound and connection").click()
    expect(page.locator("#way-token-text")).to_contain_text("read the session")
    expect(page.locator("#nav")).to_be_hidden()


# ------------------------------------------------------------------------------------------- recordings


def test_a_recording_is_found_played_and_read(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/recordings")
    at(page).get_by_label("Search recordings").fill("nothing like it")
    expect(at(page).get_by_text("No recording matches.")).to_be_visible()
    at(page).get_by_label("Search recordings").fill("noon")
    at(page).get_by_role("link", name=re.compile("maria")).click()
    expect(at(page).locator(".call-name")).to_contain_text("Gaps in what was observed: 1.")
    play = at(page).get_by_role("button", name="Play")
    expect(play).to_be_enabled()

    # A line is a way to its sound.
    at(page).get_by_role("button", name="Noon is good.").click()
    expect(at(page).get_by_role("button", name="Pause").first).to_be_visible()
    assert page.evaluate("document.querySelector('.deck audio').currentTime") >= 12.4
    expect(at(page).locator(".is-now")).to_contain_text("Noon is good.")
    page.wait_for_function("() => document.querySelector('.deck audio').currentTime > 12.6")
    page.keyboard.press("k")
    expect(play).to_be_visible()

    slider = at(page).get_by_role("slider", name="Position")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "0:05 of 0:20")
    box = slider.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 10)
    expect(slider).to_have_attribute("aria-valuenow", "15")
    expect(at(page).locator(ROWS).first).to_be_visible()
    expect(at(page).locator(ROWS, has_text="response.done")).to_have_attribute("data-where", "observer")


def test_both_voices_are_drawn(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/recordings/rec_1")
    expect(at(page).get_by_role("button", name="Play")).to_be_enabled()
    coloured = page.evaluate(
        """() => {
            const canvas = document.querySelector(".waveform canvas");
            const pen = canvas.getContext("2d");
            const count = (x, y) => {
                const { width, height } = canvas;
                const data = pen.getImageData(x * width / 2, y * height / 2, width / 2, height / 3).data;
                let pixels = 0;
                for (let at = 3; at < data.length; at += 4) if (data[at] > 60) pixels += 1;
                return pixels / (data.length / 4);
            };
            return [count(0, 0), count(1, 0), count(0, 1.2), count(1, 1.2)];
        }"""
    )
    caller_early, caller_late, assistant_early, assistant_late = coloured
    assert caller_early > 0.1 > caller_late
    assert assistant_late > 0.1 > assistant_early


def test_a_recording_is_saved_and_deleted(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/recordings/rec_1")
    with page.expect_download() as download:
        at(page).get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "rec_1.tar"
    assert Path(download.value.path()).read_bytes() == b"everything"
    at(page).get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert backend.deleted == []
    at(page).get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(at(page).get_by_text("Nothing has been recorded.")).to_be_visible()
    assert backend.deleted == ["rec_1"]


def test_profiles_are_shown(page: Page, backend: Backend) -> None:
    page.goto(f"{backend.url}/#/profiles")
    first = at(page).get_by_role("article").first
    expect(first).to_contain_text("Front desk")
    expect(first).to_contain_text("default")
    expect(first).to_contain_text(SESSION["instructions"])
    expect(first).to_contain_text("restaurant.tools:tables")
    expect(at(page).get_by_role("textbox")).to_have_count(0)


# ------------------------------------------------------------------------------------------- for everybody

VIEWS = ["talk", "calls", "calls/rtc_1", "recordings", "recordings/rec_1", "profiles"]


def opened(page: Page, backend: Backend, view: str) -> None:
    page.goto(f"{backend.url}/#/{view}")
    expect(page.locator("#nav")).to_be_visible()
    signs = {
        "calls/rtc_1": f"#view-calls {ROWS}",
        "recordings/rec_1": f"#view-recordings {ROWS}",
        "profiles": ".profile",
        "recordings": "[data-recording]",
    }
    expect(page.locator(signs.get(view, "#nav")).first).to_be_visible()


def complaints(page: Page, check: str) -> list[str]:
    found: list[str] = page.evaluate(
        """async ([source, check]) => {
            const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
            return (await import(url))[check]();
        }""",
        [CHECKS, check],
    )
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_made_for_everybody(browser: Browser, backend: Backend, view: str) -> None:
    context = browser.new_context(
        locale="en-GB", viewport={"width": 1440, "height": 900}, bypass_csp=True, reduced_motion="reduce"
    )
    page = context.new_page()
    opened(page, backend, view)
    if view == "talk":
        page.keyboard.press("i")
    if view == "calls/rtc_1":
        at(page).locator(ROWS).last.click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for tab in at(page).get_by_role("tab").all():
            if tab.is_visible():
                tab.click()
            for check in ("names", "references", "headings", "targets", "contrast"):
                assert complaints(page, check) == [], f"{check}, {scheme}, {tab.inner_text()}"
        for check in ("names", "references", "headings", "targets", "contrast"):
            assert complaints(page, check) == [], f"{check}, {scheme}"
    context.close()


def test_the_checks_find_what_is_wrong(browser: Browser, backend: Backend) -> None:
    page = browser.new_page(bypass_csp=True)
    page.goto(backend.url)
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", `<div style="position:fixed;top:0;background:#fff">
                <button style="width:9px;height:9px;padding:0"></button>
                <p id="twice" style="color:#999">pale</p><p id="twice" aria-describedby="nobody">x</p>
                <h4>deep</h4></div>`);
        }"""
    )
    for check in ("names", "references", "headings", "targets", "contrast"):
        assert complaints(page, check), check
    page.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
@pytest.mark.parametrize("view", VIEWS)
def test_no_view_scrolls_sideways(page: Page, backend: Backend, view: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(f"{backend.url}/#/{view}")
    expect(page.locator("#nav")).to_be_visible()
    if view == "talk":
        page.keyboard.press("i")
        expect(page.locator("#talk-inspector")).to_be_visible()
    wide = page.evaluate(
        """() => [...document.querySelectorAll("html, main, .view, .stage, .sheet, .panel, .side, .scroll")]
            .filter((e) => e.getClientRects().length)
            .filter((e) => e.localName === "html" || getComputedStyle(e).overflowX !== "visible")
            .filter((e) => e.scrollWidth > e.clientWidth + 1)
            .map((e) => `${e.className} ${e.scrollWidth} > ${e.clientWidth}`)"""
    )
    assert wide == []


@pytest.mark.parametrize("view", VIEWS)
def test_portuguese_fits_the_smallest_phone(browser: Browser, backend: Backend, view: str) -> None:
    page = browser.new_page(locale="pt-BR", viewport={"width": 320, "height": 700})
    page.goto(f"{backend.url}/#/{view}")
    expect(page.get_by_role("link", name="Gravações")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_everything_is_reached_by_keyboard(page: Page, backend: Backend) -> None:
    page.goto(backend.url)
    expect(page.locator("#nav")).to_be_visible()
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile("#/calls$"))
    link = at(page).get_by_role("link", name=re.compile("maria"))
    tab_to(page, link)
    page.keyboard.press("Enter")
    expect(at(page).locator(".call-status")).to_have_text("Observer attached")
    events = at(page).get_by_role("tab", name="Events")
    tab_to(page, events)
    page.keyboard.press("ArrowRight")
    expect(at(page).get_by_role("tab", name="Turns")).to_be_focused()
    expect(at(page).locator(".turns-summary")).to_be_visible()
    page.keyboard.press("Home")
    tab_to(page, at(page).get_by_role("listbox", name="Events"))
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    chosen = at(page).locator(f"{ROWS}[aria-selected=true]")
    expect(chosen).to_contain_text("conversation.item.truncated")
    active = at(page).get_by_role("listbox", name="Events").get_attribute("aria-activedescendant")
    assert active == chosen.get_attribute("id")
    tab_to(page, at(page).get_by_role("button", name="Hang up"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(at(page).get_by_text("Hung up.")).to_be_visible()
    page.keyboard.press("/")
    expect(at(page).get_by_label("Search events")).to_be_focused()


def tab_to(page: Page, target: Any, at_most: int = 60) -> None:
    for _ in range(at_most):
        page.keyboard.press("Tab")
        if target.evaluate("(e) => e === document.activeElement"):
            return
    raise AssertionError(f"not reached in {at_most} steps")


def test_shortcuts_are_listed_and_can_be_switched_off(page: Page, backend: Backend) -> None:
    page.goto(backend.url)
    expect(page.locator("#nav")).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    dialog.get_by_label("One-letter shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(at(page).get_by_role("button", name="Start talking")).to_be_visible()
    expect(page.locator("#view-calls")).to_be_hidden()


# ------------------------------------------------------------------------------------------- words


def test_every_word_that_is_asked_for_exists(page: Page, backend: Backend) -> None:
    page.goto(backend.url)
    tables: dict[str, dict[str, str]] = page.evaluate("import('/words/words.js').then((m) => m.tables)")
    web = Path(__file__).parents[2] / "src/vivavoz/app/web"
    source = "\n".join(path.read_text() for path in web.rglob("*") if path.suffix in (".js", ".html"))
    asked = set(re.findall(r"""(?<![\w.#])t\(\s*"(\w+)\"""", source))
    asked |= set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', source))
    assert len(asked) > 150
    for language, words in tables.items():
        assert asked - set(words) == set(), language
        families = set(re.findall(r"t\(`(\w+_)\$\{", source))
        assert len(families) > 5
        assert [family for family in families if not any(key.startswith(family) for key in words)] == []
    same = {key for key, text in tables["en"].items() if tables["pt"][key] == text}
    # Names, units, and words that Portuguese has from English.
    assert len(same) < 12, same
