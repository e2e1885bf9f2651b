"""Minting in the beta: a flat session in, the session object with its secret out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.beta.realtime import SessionCreateResponse, TranscriptionSession
from pydantic import TypeAdapter

from vivavoz.wire.beta.rest import request_error_to_beta, secret_request_to_ga, secret_to_beta
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import session_object
from vivavoz.wire.rest import ClientSecret, decode_client_secret_request


def refusal(body: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        decode_client_secret_request(secret_request_to_ga(json.dumps(body).encode()))
    return request_error_to_beta(error.value)


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"client_secret":null}', b'{"client_secret":{}}'])
def test_nothing_asked_for_is_a_minute(body: bytes) -> None:
    request = decode_client_secret_request(secret_request_to_ga(body))
    assert request.expires_after_seconds == 60
    assert request.patch is not None


def test_the_life_of_the_secret_can_be_named() -> None:
    body = {"voice": "ash", "client_secret": {"expires_after": {"anchor": "created_at", "seconds": 120}}}
    request = decode_client_secret_request(secret_request_to_ga(json.dumps(body).encode()))
    assert request.expires_after_seconds == 120
    assert effective_session(request.patch, "m").audio.output.voice == "ash"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"foo": 1}, "unknown_parameter", "foo"),
        ({"type": "realtime"}, "unknown_parameter", "type"),
        ({"session": {"type": "realtime"}}, "unknown_parameter", "session"),
        ({"voice": 5}, "invalid_type", "voice"),
        ({"speed": 9}, "invalid_value", "speed"),
        ({"modalities": ["audio"]}, "invalid_value", "modalities"),
        ({"turn_detection": {"threshold": 9}}, "invalid_value", "turn_detection.threshold"),
        ({"max_response_output_tokens": 0}, "invalid_value", "max_response_output_tokens"),
        ({"client_secret": 5}, "invalid_type", "client_secret"),
        ({"client_secret": {"foo": 5}}, "unknown_parameter", "client_secret.foo"),
        (
            {"client_secret": {"expires_after": {"seconds": 1}}},
            "invalid_value",
            "client_secret.expires_after.seconds",
        ),
        ([], "invalid_type", None),
    ],
)
def test_mistakes_are_named_as_the_body_has_them(body: Any, code: str, param: str | None) -> None:
    error = refusal(body)
    assert (error.code, error.param) == (code, param)
    assert "session." not in error.message


def test_a_transcription_session_is_asked_for() -> None:
    body = {
        "input_audio_transcription": {"model": "whisper-1"},
        "client_secret": {"expires_at": {"anchor": "created_at", "seconds": 90}},
    }
    ga = secret_request_to_ga(json.dumps(body).encode(), "transcription")
    request = decode_client_secret_request(ga)
    assert request.expires_after_seconds == 90
    options = effective_session(request.patch, "m")
    assert options.type == "transcription"
    told = json.loads(
        secret_to_beta(ClientSecret(value="ek_1", expires_at=7, session=session_object(options, "sess_1", 0)))
    )
    answer = TypeAdapter(TranscriptionSession).validate_python(told, strict=True)
    assert (answer.client_secret.value, answer.client_secret.expires_at) == ("ek_1", 7)
    assert told["object"] == "realtime.transcription_session"
    assert answer.input_audio_transcription is not None
    assert answer.input_audio_transcription.model == "whisper-1"


def test_the_answer_is_what_the_sdk_reads() -> None:
    session = session_object(effective_session(None, "gpt-realtime"), "sess_1", 0)
    body = secret_to_beta(ClientSecret(value="ek_1", expires_at=1_800_000_060, session=session))
    answer = TypeAdapter(SessionCreateResponse).validate_json(body, strict=True)
    assert (answer.client_secret.value, answer.client_secret.expires_at) == ("ek_1", 1_800_000_060)
    assert answer.modalities == ["audio", "text"]
    told = json.loads(body)
    assert (told["id"], told["object"], told["model"]) == ("sess_1", "realtime.session", "gpt-realtime")
