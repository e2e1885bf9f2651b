"""The fixture, used as a stranger uses it: the official SDK, and nothing of vivavoz but the fixture."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import websockets

from tests.speech import scripted_speech, silence
from tests.testing.talking import answer, ask, client_of, words
from vivavoz.testing.service import Vivavoz, running

GREETER = """
[[turn]]
hears = "What is the weather in Lisbon?"
calls = [{ name = "get_weather", arguments = { city = "Lisbon" } }]
then = "In Lisbon it is {output}."

[[turn]]
says = "You are welcome."
"""


@contextmanager
def connected(service: Vivavoz) -> Iterator[Any]:
    with client_of(service) as client, client.realtime.connect(model="gpt-realtime") as connection:
        yield connection


@pytest.mark.vivavoz(GREETER)
def test_a_script_answers_the_sdk_and_tools_are_called(vivavoz: Vivavoz) -> None:
    with connected(vivavoz) as connection:
        called = ask(connection, "What is the weather in Lisbon?").output[0]
        assert (called.name, called.arguments) == ("get_weather", '{"city":"Lisbon"}')
        item = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
        connection.conversation.item.create(item=item)
        connection.response.create()
        assert words(answer(connection)) == "In Lisbon it is sunny."
        assert words(ask(connection, "Thank you")) == "You are welcome."
    vivavoz.settle()
    (call,) = vivavoz.calls
    assert call.ended is not None
    assert [e["type"] for e in call.client_events].count("response.create") == 3
    assert call.client_events[2]["item"]["output"] == "sunny"
    assert call.server_events[0]["type"] == "session.created"
    assert vivavoz.events == call.server_events


def test_a_spoken_turn_is_heard_as_the_script_says(vivavoz: Vivavoz) -> None:
    vivavoz.script({"turn": [{"hears": "Book a table.", "says": "For how many?"}]})
    with connected(vivavoz) as connection:
        said = b64encode(silence(0.3) + scripted_speech("book a table") + silence(1.0)).decode()
        connection.input_audio_buffer.append(audio=said)
        assert words(answer(connection)) == "For how many?"
    assert any(event["type"] == "input_audio_buffer.speech_stopped" for event in vivavoz.events)


def test_only_the_services_key_opens_it(vivavoz: Vivavoz) -> None:
    with (
        openai.OpenAI(base_url=vivavoz.base_url, api_key="another") as client,
        pytest.raises(websockets.InvalidStatus) as refused,
        client.realtime.connect(model="gpt-realtime"),
    ):
        pass
    assert refused.value.response.status_code == 401
    assert vivavoz.calls == []


@pytest.mark.vivavoz({"turn": [{"says": "Late.", "delays": {"first_token_ms": 600_000}}]})
def test_the_delays_of_a_script_take_no_time(vivavoz: Vivavoz) -> None:
    with connected(vivavoz) as connection:
        assert words(ask(connection, "hello")) == "Late."


@pytest.mark.vivavoz({"turn": [{"says": "Late.", "delays": {"first_token_ms": 400}}]}, time="real")
def test_or_the_time_they_say(vivavoz: Vivavoz) -> None:
    with connected(vivavoz) as connection:
        began = time.monotonic()
        ask(connection, "hello")
        assert time.monotonic() - began >= 0.4


# ------------------------------------------------------------------------------------------------ faults


def receive_all(connection: Any, into: list[Any]) -> None:
    while True:
        into.append(connection.recv())


@pytest.mark.vivavoz(faults={"rate_limit": {"attempts": [1], "retry_after_s": 7}})
def test_an_opening_meets_a_rate_limit(vivavoz: Vivavoz) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused, connected(vivavoz):
        pass
    answered = refused.value.response
    assert (answered.status_code, answered.headers["Retry-After"]) == (429, "7")
    assert b"rate_limit_error" in answered.body
    with connected(vivavoz) as connection:
        assert words(ask(connection, "hello"))


@pytest.mark.vivavoz(faults={"refuse": {"attempts": [2], "status": 500, "code": "boom", "message": "Bang."}})
def test_the_second_opening_is_refused(vivavoz: Vivavoz) -> None:
    with connected(vivavoz) as connection:
        ask(connection, "hello")
    with pytest.raises(websockets.InvalidStatus) as refused, connected(vivavoz):
        pass
    assert refused.value.response.status_code == 500
    assert b'"message":"Bang."' in refused.value.response.body
    with connected(vivavoz) as connection:
        ask(connection, "hello")
    assert len(vivavoz.calls) == 2


@pytest.mark.vivavoz(faults={"refuse": {"attempts": [1]}})
def test_refused_tokens_count_as_no_attempt(vivavoz: Vivavoz) -> None:
    with (
        pytest.raises(websockets.InvalidStatus),
        openai.OpenAI(base_url=vivavoz.base_url, api_key="another") as client,
        client.realtime.connect(model="gpt-realtime"),
    ):
        pass
    with pytest.raises(websockets.InvalidStatus) as refused, connected(vivavoz):
        pass
    assert refused.value.response.status_code == 503


@pytest.mark.vivavoz(faults={"rate_limit": {"attempts": [1]}})
def test_webrtc_offers_meet_the_rate_limit_too(vivavoz: Vivavoz) -> None:
    with client_of(vivavoz) as client, pytest.raises(openai.RateLimitError) as refused:
        client.realtime.calls.create(sdp="v=0")
    assert refused.value.code == "rate_limit_exceeded"


@pytest.mark.vivavoz(faults={"handshake": {"attempts": [1], "delay_ms": 400}})
def test_a_handshake_comes_late_in_virtual_time_too(vivavoz: Vivavoz) -> None:
    began = time.monotonic()
    with connected(vivavoz):
        assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("count", [1, 5, 9])
def test_a_connection_breaks_after_so_many_events(vivavoz: Vivavoz, count: int) -> None:
    vivavoz.script({}, faults={"drop": {"calls": [1], "after_events": count}})
    arrived = []
    with connected(vivavoz) as connection:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        arrived.append(connection.recv())
        if count > 1:
            connection.conversation.item.create(item=item)
            connection.response.create()
        with pytest.raises(websockets.ConnectionClosedError) as broken:
            receive_all(connection, arrived)
        assert broken.value.rcvd is None, "there was a goodbye"
    vivavoz.settle()
    assert len(arrived) == count
    assert [event["event_id"] for event in vivavoz.events] == [event.event_id for event in arrived]
    with connected(vivavoz) as connection:
        assert words(ask(connection, "once more"))


@pytest.mark.vivavoz(faults={"drop": {"after_ms": 200}})
def test_a_connection_breaks_after_a_time(vivavoz: Vivavoz) -> None:
    with connected(vivavoz) as connection, pytest.raises(websockets.ConnectionClosedError):
        receive_all(connection, [])


@pytest.mark.vivavoz(
    {"turn": [{"says": "No.", "fails": {"stage": "llm", "code": "rate_limit_exceeded"}}, {"says": "Yes."}]}
)
def test_a_response_meets_a_rate_limit(vivavoz: Vivavoz) -> None:
    with connected(vivavoz) as connection:
        failed = ask(connection, "hello")
        assert failed.status == "failed"
        assert failed.status_details.error.type == "rate_limit_error"
        assert failed.status_details.error.code == "rate_limit_exceeded"
        assert words(ask(connection, "hello again")) == "Yes."


# ------------------------------------------------------------------------------------------------ determinism


def conversation(service: Vivavoz) -> None:
    """Two calls: one with a client secret, one that speaks, calls a tool and makes a mistake."""
    with client_of(service) as client:
        secret = client.realtime.client_secrets.create(
            session={"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
        )
        with (
            openai.OpenAI(base_url=service.base_url, api_key=secret.value) as browser,
            browser.realtime.connect() as connection,
        ):
            ask(connection, "hello")
        service.settle()
    with connected(service) as connection:
        said = b64encode(silence(0.3) + scripted_speech("book a table") + silence(1.0)).decode()
        connection.input_audio_buffer.append(audio=said)
        answer(connection)
        connection.conversation.item.delete(item_id="item_nowhere")
        assert connection.recv().type == "error"
        ask(connection, "count to 20")
    service.settle()


def test_equal_input_gives_byte_equal_logs(tmp_path: Path) -> None:
    logs = []
    for name in ("one", "two", "three"):
        path = tmp_path / name
        with running(event_log=path) as service:
            conversation(service)
        logs.append(path.read_bytes())
    assert logs[0] == logs[1] == logs[2]
    assert logs[0].count(b"\n") > 100
    assert b'"call":2' in logs[0]


def test_ids_are_not_shared_between_calls(vivavoz: Vivavoz) -> None:
    conversation(vivavoz)
    one, two = vivavoz.calls
    ids = [{event["event_id"] for event in call.server_events} for call in (one, two)]
    assert len(ids[0]) == len(one.server_events)
    assert not ids[0] & ids[1]
    assert one.id != two.id


def test_without_it_nothing_can_be_guessed(tmp_path: Path) -> None:
    seen = []
    for name in ("one", "two"):
        path = tmp_path / name
        with running(deterministic=False, event_log=path) as service:
            with connected(service) as connection:
                ask(connection, "hello")
            seen.append(service.calls[0].server_events[0]["session"])
            assert b'"time":' in path.read_bytes()
    assert seen[0]["id"] != seen[1]["id"]
    assert abs(seen[0]["expires_at"] - time.time() - 3600) < 600
