"""A whole measurement: of our own service, and of endpoints that lack, break or withhold something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from measuring.fake import Fake
from running import Running, vivavoz
from speech import scripted_speech, write_wav
from vivavoz.measuring import endpoint as endpoints
from vivavoz.measuring import line as lines
from vivavoz.measuring import setup, streams, turns
from vivavoz.measuring.endpoint import Endpoint
from vivavoz.measuring.report import Report
from vivavoz.measuring.run import Plan, measure

PLAN = Plan(
    transports=("webrtc", "websocket"),
    calls=2,
    seconds=1.0,
    turns=2,
    setups=2,
    round_trips=3,
    window_ms=300,
    voice="scripted",
)
OVER_WEBSOCKET = msgspec.structs.replace(PLAN, transports=("websocket",))
BRIEFLY = msgspec.structs.replace(OVER_WEBSOCKET, turns=1, setups=1, calls=1, seconds=0.3)
KEY = "sk-not-to-be-seen"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with vivavoz(tmp_path_factory.mktemp("service"), key=KEY) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of an endpoint that will not answer are short."""
    monkeypatch.setattr(endpoints, "_HTTP_S", 0.5)
    monkeypatch.setattr(lines, "CREATED_S", 0.5)
    monkeypatch.setattr(setup, "_ROUND_TRIP_S", 0.5)
    monkeypatch.setattr(turns, "_ANSWER_S", 1.5)
    monkeypatch.setattr(turns, "_SPOKEN_S", 5.0)
    monkeypatch.setattr(streams, "_ANSWER_S", 1.5)


async def measured(
    url: str, plan: Plan = PLAN, *, key: str | None = KEY, azure: bool = False
) -> dict[str, Any]:
    """Its figures; the text and the JSON of the report are made as well, and hold no key."""
    endpoint = Endpoint(url, model="gpt-realtime", key=key, azure=azure)
    report = Report(endpoint.shown, "1")
    await measure(endpoint, plan, report, lambda _: None)
    text = report.text()
    figures = json.dumps(report.figures(), allow_nan=False)
    assert KEY not in text
    assert KEY not in figures
    return {**json.loads(figures), "text": text}


async def test_our_own_service_over_both_transports(service: Running) -> None:
    found = await measured(service.url)
    for transport, steps in {
        "webrtc": {"answer", "ice", "dtls", "channel", "session.created", "packet"},
        "websocket": {"connect", "session.created"},
    }.items():
        figures = found[transport]
        assert figures["troubles"] == []
        assert set(figures["setup_ms"]) == steps
        assert all(each["n"] == 2 and each["min"] > 0 for each in figures["setup_ms"].values())
        assert figures["round_trip_ms"]["n"] == 3
        told = figures["turns"]
        assert (told["asked"], told["answered"], told["yields"]) == (2, 2, True)
        assert (told["silence_window_ms"], told["silence_window_confirmed"]) == (300, True)
        assert told["ms"]["audible"]["n"] == 2
        assert told["ms"]["input_audio_buffer.speech_started"]["n"] == 2
        assert [(each["calls"], each["answers"] > 0) for each in figures["streams"]] == [(1, True), (2, True)]
        events = figures["events"]
        assert events["missing"] == []
        assert events["shaped_otherwise"] == {}
        assert (events["unreadable_messages"], events["errors"]) == (0, {})
    assert found["webrtc"]["streams"][0]["lost"] == 0
    assert found["notes"] == []
    assert "offer -> first RTP packet" in found["text"]
    assert "as agreed" in found["text"]


async def test_our_own_service_as_azure_is_called(service: Running) -> None:
    plan = msgspec.structs.replace(BRIEFLY, transports=PLAN.transports)
    found = await measured(service.url, plan, azure=True)
    assert found["endpoint"].endswith("/openai/v1")
    for transport in ("webrtc", "websocket"):
        assert found[transport]["troubles"] == []
        assert found[transport]["turns"]["answered"] == 1


async def test_a_wrong_key_is_said_once_a_transport(service: Running) -> None:
    found = await measured(service.url, key=KEY + "-wrong")
    for transport in ("webrtc", "websocket"):
        (trouble,) = found[transport]["troubles"]
        assert "401: the key is missing or wrong" in trouble
        assert found[transport]["setup_ms"] == {}


async def test_without_webrtc_it_is_measured_over_websocket_alone(impatient: None) -> None:
    fake = Fake(calls=404)
    async with fake.served():
        found = await measured(fake.url)
    (trouble,) = found["webrtc"]["troubles"]
    assert "404: there is nothing at this path" in trouble
    assert found["notes"] == ["measured over WebSocket alone: no call came about over WebRTC"]
    told = found["websocket"]
    assert told["troubles"] == []
    assert told["turns"]["answered"] == 2
    assert told["turns"]["ms"]["silent"]["n"] >= 1
    assert "input_audio_buffer.committed" in told["events"]["missing"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("v=0\r\n", "names no UDP candidate"),
        ("v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", "has no a=ice-ufrag"),
    ],
)
async def test_an_answer_that_cannot_be_used(answer: str, said: str) -> None:
    fake = Fake(calls=201, answer=answer)
    async with fake.served():
        found = await measured(fake.url, msgspec.structs.replace(PLAN, transports=("webrtc",)))
    (trouble,) = found["webrtc"]["troubles"]
    assert said in trouble


async def test_an_endpoint_that_makes_no_sound(impatient: None) -> None:
    fake = Fake(audio=False)
    async with fake.served():
        found = await measured(fake.url, OVER_WEBSOCKET)
    told = found["websocket"]
    assert told["turns"]["answered"] == 0
    assert told["turns"]["lacking"] == {"the response was done without anything audible": 2}
    assert "turns: 2 questions in a row had no audible answer" in told["troubles"]
    assert "2 at once: nothing audible within 1.5 s" in told["troubles"]
    assert "response.output_audio.delta" in told["events"]["missing"]
    assert told["setup_ms"]["session.created"]["n"] == 2


async def test_events_that_are_none_break_nothing(impatient: None) -> None:
    fake = Fake(malformed=True)
    async with fake.served():
        found = await measured(fake.url, BRIEFLY)
    told = found["websocket"]
    assert told["turns"]["answered"] == 1
    assert told["events"]["unreadable_messages"] > 0
    assert "made.up?[31m" in told["events"]["not_known_here"]
    assert "conversation.item.added" in told["events"]["shaped_otherwise"]
    assert "\x1b" not in found["text"]


async def test_who_does_not_fall_silent_is_told_so_and_measured_on(impatient: None) -> None:
    fake = Fake(yields=False, words=14)
    async with fake.served():
        found = await measured(fake.url, BRIEFLY)
    told = found["websocket"]["turns"]
    assert told["yields"] is False
    assert told["lacking"]["the voice went on while the caller spoke"] == 1
    assert "silent" not in told["ms"]


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (Fake(hang=True), "no answer within 0.5 s"),
        (Fake(mute=True), "no session.created within 0.5 s"),
    ],
)
async def test_who_never_answers_is_not_waited_for(impatient: None, fake: Fake, said: str) -> None:
    async with fake.served():
        found = await measured(fake.url, OVER_WEBSOCKET)
    (trouble,) = found["websocket"]["troubles"]
    assert said in trouble


async def test_a_recorded_question(service: Running, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "q.wav", scripted_speech("what is the time"))
    found = await measured(service.url, msgspec.structs.replace(BRIEFLY, wav=(path,)))
    assert found["speech"] == "WAV"
    assert found["websocket"]["turns"]["answered"] == 1


async def test_who_sounds_all_the_time_is_not_measured_as_an_answer(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_GREETING_S", 1.0)
    fake = Fake(greets_words=20)
    async with fake.served():
        found = await measured(fake.url, BRIEFLY)
    told = found["websocket"]
    assert "turns: something sounds all the time, before anything was asked" in told["troubles"]
    assert told["turns"]["ms"] == {}


async def test_who_hangs_up_in_the_middle_is_said_to_have(impatient: None) -> None:
    fake = Fake(hangs_up_at_speech=True)
    async with fake.served():
        found = await measured(fake.url, BRIEFLY)
    told = found["websocket"]
    assert "turns: the endpoint closed the WebSocket (1011)" in told["troubles"]
    assert told["setup_ms"]["session.created"]["n"] == 1
