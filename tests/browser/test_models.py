"""The console's pure modules, each on its own: events in, figures and rows out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.console_backend import console_backend
from tests.browser.sample import SESSION, sample_events, turn
from tests.chromium import chromium
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.options import VOICES
from vivavoz.wire.server_events import WEBRTC_FILTER

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with console_backend() as backend, chromium() as browser:
        made = browser.new_page()
        made.goto(backend.url)
        yield made


def run(page: Page, module: str, body: str, *given: Any) -> Any:
    """The value of ``body``, a function of the module ``m`` and what is given."""
    return page.evaluate(
        f"async (given) => {{ const m = await import('/model/{module}.js'); return ({body})(m, ...given); }}",
        list(given),
    )


# ------------------------------------------------------------------------------------------- lens


def lens(page: Page, body: str, *given: Any) -> Any:
    return run(page, "lens", f"(m, ...given) => {{ const log = new m.EventLog(); {body} }}", *given)


def test_the_filter_is_the_services_own(page: Page) -> None:
    assert set(run(page, "filter", "(m) => [...m.WEBRTC_FILTER]")) == set(WEBRTC_FILTER)


def test_an_event_that_comes_by_both_ways_is_one_row_whichever_comes_first(page: Page) -> None:
    rows = lens(
        page,
        """const event = (id) => ({ type: "t", event_id: id });
        const entry = (n, id) => ({ n, at: 1, sender: "server", seen: true, event: event(id) });
        const observed = (n, id) => log.fromObserver(entry(n, id), { ownBrowser: true });
        log.fromBrowser(event("a"), 1000);
        observed(1, "a");
        observed(2, "b");
        log.fromBrowser(event("b"), 1000);
        observed(3, "c");
        return log.rows.map(({ event, browser, observer }) => [event.event_id, browser, observer]);""",
    )
    # What a filtered browser should get and does not is shown as not got: the lens shows facts.
    assert rows == [["a", True, True], ["b", True, True], ["c", False, True]]


def test_what_the_browser_sends_is_its_own_row(page: Page) -> None:
    rows = lens(
        page,
        """log.fromBrowser({ type: "response.create", event_id: "a" }, 0, { sent: true });
        log.fromBrowser({ type: "response.create", event_id: "a" }, 0, { sent: true });
        log.fromObserver({ n: 1, at: 0, sender: "console", seen: false, event: { type: "x" } });
        return log.rows.map(({ sender, browser, observer }) => [sender, browser, observer]);""",
    )
    assert rows == [["browser", True, False]] * 2 + [["console", False, True]]


def test_a_snapshot_that_comes_again_adds_nothing(page: Page) -> None:
    count = lens(
        page,
        """const event = (n) => ({ type: "t", event_id: `e${n}` });
        const entries = [1, 2, 3].map((n) => ({ n, at: n, sender: "server", seen: true, event: event(n) }));
        for (const entry of [...entries, ...entries]) log.fromObserver(entry);
        log.fromObserver({ n: 4, at: 4, sender: "console", seen: false, event: { type: "no id" } });
        log.fromObserver({ n: 4, at: 4, sender: "console", seen: false, event: { type: "no id" } });
        return [log.size, log.visible.length];""",
    )
    assert count == [4, 4]


def test_the_log_is_bounded_and_keeps_what_is_new(page: Page) -> None:
    found = run(
        page,
        "lens",
        """(m) => {
            const log = new m.EventLog({ limit: 100 });
            log.filter({ type: "even" });
            const event = (n) => ({ type: n % 2 ? "odd" : "even", event_id: `e${n}` });
            for (let n = 0; n < 5000; n++) log.fromBrowser(event(n), n);
            return [log.size + log.dropped, log.size, log.visible.every((row) => row.type === "even"),
                    log.visible.at(-1).event.event_id, log.visible[0].n >= log.rows[0].n,
                    log.types.get("odd")];
        }""",
    )
    total, size, all_even, last, fresh, odd = found
    assert total == 5000
    assert 100 <= size <= 1100
    assert (all_even, last, fresh) == (True, "e4998", True)
    assert odd == pytest.approx(size / 2, abs=1)


def test_what_the_browser_does_not_get_stands_where_the_observer_had_it(page: Page) -> None:
    rows = lens(
        page,
        """
        log.filter({ lens: "observer" });
        const event = (id) => ({ type: "t", event_id: id });
        const observe = (id, n, at) => log.fromObserver(
            { n, at, sender: "server", seen: !id.startsWith("hidden"), event: event(id) },
            { ownBrowser: true });
        observe("hidden 1", 1, 0.9);
        ["heard", "said", "more"].forEach((id, n) => log.fromBrowser(event(id), 1000 + n));
        log.fromBrowser({ type: "mine" }, 1030, { sent: true });
        const told = ["heard", "hidden 2", "hidden 3", "said", "more", "hidden 4"];
        told.forEach((id, n) => observe(id, n + 2, 1.5));
        return [log.rows.map((row) => row.event.event_id ?? row.type),
                log.visible.map((row) => row.event.event_id),
                log.rows.every((row, n, all) => !n || all[n - 1].at <= row.at)];
        """,
    )
    order, observed, in_time = rows
    told = ["hidden 1", "heard", "hidden 2", "hidden 3", "said", "more", "hidden 4"]
    assert order == [*told, "mine"]
    assert observed == told
    assert in_time


def test_types_are_offered_with_their_families(page: Page) -> None:
    names = run(page, "lens", "(m) => m.typeChoices(new Map([['a.b.c', 1], ['a.d', 2], ['e', 1]]))")
    assert names == ["a", "a.b", "a.b.c", "a.d", "e"]


def test_every_event_has_a_gist_that_is_text(page: Page) -> None:
    gists = run(page, "lens", "(m, events) => events.map(m.gist)", sample_events())
    assert all(isinstance(gist, str) and len(gist) <= 160 for gist in gists)
    assert "tables" not in gists[0]
    assert run(page, "lens", "(m) => m.gist({type: 'error', error: {message: 'No.'}})") == "No."
    assert run(page, "lens", "(m) => m.gist({})") == ""


# ------------------------------------------------------------------------------------------- waterfall


def bars(page: Page, given: Any, network: Any = None) -> tuple[list[Any], Any, str]:
    made = run(page, "waterfall", "(m, turn, network) => m.waterfall(turn, network)", given, network)
    return [[bar["name"], bar["from"], bar["to"]] for bar in made["bars"]], made["total"], made["source"]


def test_stages_follow_each_other(page: Page) -> None:
    found, total, source = bars(page, turn(1))
    assert found == [
        ["vad", 0, 210],
        ["turn", 210, 260],
        ["stt", 260, 430],
        ["llm", 430, 690],
        ["tts", 690, 880],
        ["packet", 880, 902],
    ]
    assert (total, source) == (902, "stages")


def test_a_stage_that_was_early_takes_no_time_from_the_others(page: Page) -> None:
    given = turn(1)
    given["stages"] |= {"stt_ms": 150, "vad_ms": None}
    found, _, _ = bars(page, given)
    assert found[:3] == [["turn", 0, 260], ["stt", 150, 150], ["llm", 260, 690]]


def test_the_way_through_the_network_comes_last(page: Page) -> None:
    found, total, _ = bars(page, turn(1), {"rttMs": 40, "bufferMs": 60})
    assert found[-1] == ["network", 902, 982]
    assert total == 982


def test_a_service_without_stages_is_told_by_its_events(page: Page) -> None:
    found, total, source = bars(page, turn(1, stages=None))
    assert found == [
        ["committed", 0, 2],
        ["transcript", 2, 180],
        ["created", 2, 4],
        ["words", 4, 470],
        ["audio", 470, 690],
    ]
    assert (total, source) == (690, "events")


def test_a_turn_that_was_not_heard_has_no_total(page: Page) -> None:
    given = turn(1)
    given["stages"] |= {"first_packet_ms": None}
    assert bars(page, given)[1] is None
    assert bars(page, {"n": 1, "marks": {}, "stages": None}) == ([], None, "events")


def test_totals_are_of_the_turns_that_were_heard(page: Page) -> None:
    silent = turn(9, stages={"vad_ms": 1}, marks={})
    turns = [turn(n, shift) for n, shift in enumerate((0, 100, 200, 300))]
    found = run(page, "waterfall", "(m, turns) => m.totals(turns)", [*turns, silent])
    assert found == {"count": 4, "p50": 1002, "p95": 1202}
    assert run(page, "waterfall", "(m) => m.totals([])") == {"count": 0, "p50": None, "p95": None}


@pytest.mark.parametrize("longest", [0, 99, 850, 1234, 5000, 61000])
def test_the_axis_has_few_round_ticks(page: Page, longest: int) -> None:
    made = run(page, "waterfall", "(m, longest) => m.axis(longest)", longest)
    assert 2 <= len(made["ticks"]) <= 6
    assert made["ticks"][-1] <= made["end"]
    assert str(made["ticks"][1]).rstrip("0") in ("1", "2", "5")


# ------------------------------------------------------------------------------------------- session


def test_the_voices_are_the_protocols(page: Page) -> None:
    assert run(page, "session", "(m) => m.VOICES") == sorted(VOICES)


def test_a_session_as_it_is_may_be_sent_and_changes_nothing(page: Page) -> None:
    assert run(page, "session", "(m, s) => m.check(m.editable(s))", SESSION) == []
    assert run(page, "session", "(m, s) => m.difference(m.editable(s), m.editable(s))", SESSION) is None


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("audio.output.speed", 1.6, "outOfRange"),
        ("audio.output.speed", "fast", "notNumber"),
        ("audio.output.voice", 3, "notText"),
        ("max_output_tokens", 1.5, "notWhole"),
        ("max_output_tokens", 0, "outOfRange"),
        ("output_modalities", "audio", "notOneOf"),
        ("audio.input.turn_detection.type", "vad", "notOneOf"),
        ("audio.input.turn_detection.create_response", "yes", "notBoolean"),
        ("tools", {}, "notList"),
        ("tools", [{"type": "function"}], "notText"),
        ("mood", 1, "unknownMember"),
        ("type", "other", "notOneOf"),
    ],
)
def test_what_is_wrong_is_named(page: Page, path: str, value: Any, problem: str) -> None:
    found = run(
        page,
        "session",
        """(m, session, path, value) => {
            const edited = m.editable(session);
            const names = path.split(".");
            const last = names.pop();
            names.reduce((at, name) => at[name], edited)[last] = value;
            return m.check(edited);
        }""",
        SESSION,
        path,
        value,
    )
    assert [each["problem"] for each in found] == [problem]
    assert found[0]["path"].startswith(path.split(".")[0])


def written(page: Page, path: str, value: Any, session: Any = SESSION) -> Any:
    return run(
        page,
        "session",
        """(m, session, path, value) => {
            const before = m.editable(session);
            const field = m.FIELDS.find((each) => each.path === path);
            return m.difference(before, m.write(before, field, value));
        }""",
        session,
        path,
        value,
    )


def test_an_update_says_only_what_differs(page: Page) -> None:
    assert written(page, "instructions", "Hi.") == {"type": "realtime", "instructions": "Hi."}
    assert written(page, "audio.output.voice", "echo") == {
        "type": "realtime",
        "audio": {"output": {"voice": "echo"}},
    }
    assert written(page, "output_modalities", "text") == {"type": "realtime", "output_modalities": ["text"]}
    off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    assert written(page, "audio.input.turn_detection.type", "off") == off
    semantic = written(page, "audio.input.turn_detection.type", "semantic_vad")
    detection = {"type": "semantic_vad", "create_response": True, "interrupt_response": True}
    assert semantic["audio"]["input"]["turn_detection"] == detection
    near = written(page, "audio.input.noise_reduction.type", "near_field")
    assert near["audio"]["input"] == {"noise_reduction": {"type": "near_field"}}
    silent = written(page, "audio.input.transcription.model", "")
    assert silent["audio"]["input"] == {"transcription": None}


# ------------------------------------------------------------------------------------------- network


def pair(**members: Any) -> list[dict[str, Any]]:
    inbound = {"id": "I", "type": "inbound-rtp", "kind": "audio", "timestamp": 1000, "jitter": 0.004}
    counts = {"bytesReceived": 0, "packetsReceived": 100, "packetsLost": 0}
    return [
        {"id": "T", "type": "transport", "selectedCandidatePairId": "P"},
        {"id": "P", "type": "candidate-pair", "localCandidateId": "L", "remoteCandidateId": "R"}
        | {"currentRoundTripTime": 0.021},
        {"id": "L", "candidateType": "srflx", "protocol": "udp", "address": "192.0.2.1", "port": 5000},
        {"id": "R", "candidateType": "host", "protocol": "udp", "address": "2001:db8::1", "port": 6000},
        {**inbound, **counts, **members},
    ]


def test_the_network_is_read_off_the_browsers_counters(page: Page) -> None:
    first, second = pair(), pair(timestamp=2000, bytesReceived=4000, packetsReceived=145, packetsLost=5)
    read = run(page, "network", "(m, one, two) => m.readNetwork(two, m.readNetwork(one))", first, second)
    assert read["path"] == "nat"
    assert read["local"] == "srflx 192.0.2.1:5000"
    assert read["remote"] == "host [2001:db8::1]:6000"
    assert (read["rttMs"], read["jitterMs"]) == (21, 4)
    assert read["lossPercent"] == pytest.approx(10)
    assert read["receivedKbps"] == 32


def test_nothing_known_is_nothing_said(page: Page) -> None:
    read = run(page, "network", "(m) => m.readNetwork([])")
    assert {name: read[name] for name in ("path", "rttMs", "lossPercent", "jitterMs", "receivedKbps")} == {
        "path": None,
        "rttMs": None,
        "lossPercent": None,
        "jitterMs": None,
        "receivedKbps": None,
    }


HOST = "a=candidate:1 1 udp 2130706431 192.0.2.7 8080 typ host\r\n"


@pytest.mark.parametrize(
    ("answer", "offer", "ice", "connection", "cause"),
    [
        ("", HOST, "new", "new", "doctorNoAddress"),
        (HOST, "", "new", "new", "doctorNoLocal"),
        (HOST, HOST, "checking", "connecting", "doctorBlocked"),
        (HOST, HOST, "failed", "failed", "doctorBlocked"),
        (HOST, HOST, "connected", "connecting", "doctorNoDtls"),
        (HOST, HOST, "connected", "connected", "doctorNoChannel"),
    ],
)
def test_the_doctor_tells_how_far_it_came(
    page: Page, answer: str, offer: str, ice: str, connection: str, cause: str
) -> None:
    given = {"answer": answer, "offer": offer, "progress": {"ice": ice, "connection": connection}}
    found = run(page, "network", "(m, given) => m.diagnose(given)", given)
    assert found["cause"] == cause
    assert found["tried"] == (["udp 192.0.2.7:8080 host"] if answer else [])


# ------------------------------------------------------------------------------------------- phase


def phase(page: Page, filtered: bool, *events: dict[str, Any]) -> list[Any]:
    found: list[Any] = run(
        page,
        "phase",
        """(m, filtered, events) => {
            const phase = new m.Phase();
            phase.filtered = filtered;
            return events.map((event) => { phase.apply(event); return [phase.word, phase.busy]; });
        }""",
        filtered,
        list(events),
    )
    return found


STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "item_1"}
STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "item_1"}
PLAYING = {"type": "output_audio_buffer.started", "response_id": "resp_1"}
PLAYED = {"type": "output_audio_buffer.stopped", "response_id": "resp_1"}


def test_behind_the_filter_the_phase_needs_nothing_that_is_kept_back(page: Page) -> None:
    words = phase(page, True, STARTED, STOPPED, PLAYING, PLAYED)
    assert words == [["hearing", False], ["thinking", True], ["speaking", True], ["listening", False]]
    barged = phase(page, True, PLAYING, STARTED, STOPPED)
    assert barged == [["speaking", True], ["hearing", False], ["thinking", True]]


def test_without_the_filter_speech_alone_stops_no_voice(page: Page) -> None:
    assert phase(page, False, PLAYING, STARTED)[1] == ["hearing", True]


def test_behind_the_filter_speech_cuts_the_words_unless_the_sound_goes_on(page: Page) -> None:
    delta = {"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "item_id": "item_2"}
    said = {**delta, "delta": "one two three four five six seven eight nine ten"}

    def lines(*steps: tuple[int, dict[str, Any]]) -> Any:
        return run(
            page,
            "transcript",
            """(m, steps) => {
                const transcript = new m.Transcript(() => {});
                transcript.filtered = true;
                for (const [now, event] of steps) transcript.apply(event, now);
                return transcript.lines.filter(({ who }) => who === "them");
            }""",
            [list(step) for step in steps],
        )

    (cut,) = lines((0, said), (0, PLAYING), (1000, STARTED))
    assert cut["cut"]
    assert cut["text"][: cut["said"]] == "one two three four"
    (whole,) = lines((0, said), (0, PLAYING), (1000, STARTED), (4000, PLAYED))
    assert not whole["cut"]
    assert whole["said"] == len(whole["text"])


def test_a_piece_of_a_transcript_that_comes_after_the_whole_adds_nothing(page: Page) -> None:
    kind = "conversation.item.input_audio_transcription"
    whole = {"type": f"{kind}.completed", "item_id": "item_1", "transcript": "Hello."}
    late = {"type": f"{kind}.delta", "item_id": "item_1", "delta": "Hello."}
    texts = run(
        page,
        "transcript",
        """(m, events) => {
            const transcript = new m.Transcript(() => {});
            for (const event of events) transcript.apply(event, 0);
            return transcript.lines.map(({ text }) => text);
        }""",
        [whole, late],
    )
    assert texts == ["Hello."]


# ------------------------------------------------------------------------------------------- recordings


def test_peaks_are_read_as_audiowaveform_writes_them(page: Page) -> None:
    body = {"version": 2, "channels": 2, "bits": 8, "data": [-128, 64, 0, 0, -32, 16, -64, 127]}
    read = run(page, "recording", "(m, body) => m.readPeaks(body)", body)
    assert read == {"caller": [1, 0.25], "assistant": [0, 127 / 128]}


def test_the_line_that_is_said_now(page: Page) -> None:
    recording = {
        "startedAt": 100,
        "transcript": [{"item_id": "a", "at_ms": 500}, {"item_id": "b", "at": 103}],
    }
    found = [run(page, "recording", "(m, r, at) => m.itemAt(r, at)", recording, at) for at in (0, 0.5, 2, 9)]
    assert found == [None, "a", "a", "b"]


def test_recorded_events_are_seen_as_the_filter_was(page: Page) -> None:
    lines = [
        {"at": 1, "sender": "server", "event": {"type": "response.done"}},
        {"at": 1, "gap": {"since": 1, "until": 2, "reason": "restart"}},
        {"at": 2, "sender": "server", "event": {"type": "output_audio_buffer.started"}},
        {"at": 2, "sender": "tool", "event": {"type": "conversation.item.create"}},
    ]
    read = "(m, lines, filtered) => m.readEntries(lines, filtered).map(({ n, seen }) => [n, seen])"
    assert run(page, "recording", read, lines, "on") == [[1, False], [2, True], [3, False]]
    assert run(page, "recording", read, lines, "off") == [[1, True], [2, True], [3, False]]


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "notJson"), ("[]", "notObject"), ("null", "notObject"), ("{}", "noType")]
)
def test_what_is_no_event_is_not_sent(page: Page, text: str, problem: str) -> None:
    assert run(page, "templates", "(m, text) => m.parseEvent(text).problem", text) == problem


def test_every_template_is_a_client_event(page: Page) -> None:
    for name, event in run(page, "templates", "(m) => m.TEMPLATES"):
        assert name.startswith(event["type"])
        assert decode_client_event(json.dumps(event)), name
