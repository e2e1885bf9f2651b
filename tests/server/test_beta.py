"""The beta's doors: which request speaks it, and what it has over HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from openai.types.beta.realtime import SessionCreateResponse, TranscriptionSession
from pydantic import TypeAdapter

from tests.server.fakes import KEY, OFFER, Running, running
from vivavoz.config import Config
from vivavoz.transports.dialect import GA, Beta
from vivavoz.wire.options import kind_of

AUTH = {"Authorization": f"Bearer {KEY}"}
BETA = {"OpenAI-Beta": "realtime=v1"}
SDP = {"Content-Type": "application/sdp"}


async def first_refusal(server: Running, path: str, **options: Any) -> bool:
    """Whether the WebSocket at ``path`` refuses what the beta does not know, as only the beta does."""
    options["headers"] = {**AUTH, **options.get("headers", {})}
    async with server.http.ws_connect(server.url + path, **options) as websocket, asyncio.timeout(60):
        await websocket.receive_json()
        await websocket.send_str('{"type": "session.update", "session": {"type": "realtime"}}')
        calls = server.calls.opened
        got = (await websocket.receive_json())["error"]["message"]
        assert calls[-1].attachments[-1].is_ready
        return bool(got == "refused: Unknown parameter: 'session.type'.")


# ------------------------------------------------------------------------------------- who speaks it


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/v1/realtime?model=m", {"headers": BETA}),
        ("/openai/v1/realtime?model=m", {"headers": BETA}),
        ("/v1/realtime?model=m", {"headers": {"openai-beta": "assistants=v2, realtime=v1"}}),
        ("/v1/realtime?model=m", {"protocols": ["realtime", "openai-beta.realtime-v1"]}),
        (
            "/v1/realtime?model=m",
            {"protocols": ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]},
        ),
        ("/openai/realtime?api-version=2024-10-01-preview&deployment=m", {}),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=m", {}),
        ("/openai/realtime?deployment=m", {}),
        ("/openai/realtime?api-version=2025-08-28&deployment=m", {"headers": BETA}),
    ],
)
async def test_a_client_that_asks_for_the_beta_gets_it(path: str, options: dict[str, Any]) -> None:
    async with running() as server:
        assert await first_refusal(server, path, **options)
        assert server.calls.opened[-1].model == "m"


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/v1/realtime?model=m", {}),
        ("/openai/v1/realtime?model=m", {}),
        ("/v1/realtime?model=m", {"headers": {"OpenAI-Beta": "assistants=v2"}}),
        ("/v1/realtime?model=m", {"protocols": ["realtime", "openai-agents-sdk.0.20.0"]}),
        ("/openai/v1/realtime?api-version=2025-04-01-preview&deployment=m", {}),
        ("/openai/realtime?api-version=2025-08-28&deployment=m", {}),
        ("/openai/realtime?api-version=2026-01-01-preview&deployment=m", {}),
        ("/openai/realtime?api-version=v1&deployment=m", {}),
        ("/openai/realtime?api-version=preview&deployment=m", {}),
    ],
)
async def test_everybody_else_speaks_ga(path: str, options: dict[str, Any]) -> None:
    async with running() as server:
        assert not await first_refusal(server, path, **options)


async def test_the_handshake_answers_the_protocol_and_never_the_selector() -> None:
    async with running() as server:
        for offered, answered in (
            (["realtime", "openai-beta.realtime-v1"], "realtime"),
            (["openai-beta.realtime-v1"], None),
        ):
            async with server.http.ws_connect(
                server.url + "/v1/realtime", headers=AUTH, protocols=offered
            ) as websocket:
                assert websocket.protocol == answered


async def test_an_observer_may_speak_it_beside_a_ga_call() -> None:
    async with running() as server:
        headers = {**AUTH, **SDP}
        async with server.http.post(server.url + "/v1/realtime/calls", data=OFFER, headers=headers) as answer:
            call_id = answer.headers["Location"].rsplit("/", 1)[1]
        assert server.calls.opened[-1].dialect is GA
        url = f"{server.url}/v1/realtime?call_id={call_id}"
        headers = {**AUTH, **BETA}
        async with server.http.ws_connect(url, headers=headers) as websocket, asyncio.timeout(60):
            await websocket.send_str('{"type": "session.update", "session": {"type": "realtime"}}')
            assert "refused" in (await websocket.receive_json())["error"]["message"]


# ------------------------------------------------------------------------------------- offers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/realtime?model=m", {}),
        ("/openai/v1/realtime?model=m", {}),
        ("/v1/realtimertc?model=m", {}),
        ("/v1/realtime/calls?model=m", BETA),
    ],
)
async def test_an_offer_is_answered_in_the_beta(path: str, headers: dict[str, str]) -> None:
    async with running() as server:
        headers = {**AUTH, **SDP, **headers, "Origin": "https://app.example"}
        async with server.http.post(server.url + path, data=OFFER, headers=headers) as answer:
            assert answer.status == 201
            assert answer.content_type == "application/sdp"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            call = server.calls.opened[-1]
            assert answer.headers["Location"] == f"/v1/realtime/calls/{call.id}"
        assert isinstance(call.dialect, Beta)
        assert call.model == "m"


@pytest.mark.parametrize("path", ["/v1/realtime", "/openai/v1/realtime", "/v1/realtimertc"])
async def test_a_browser_elsewhere_may_ask_and_read_refusals(path: str) -> None:
    async with running() as server:
        headers = {"Origin": "https://app.example", "Access-Control-Request-Headers": "openai-beta"}
        async with server.http.options(server.url + path, headers=headers) as answer:
            assert answer.status == 204
            assert "openai-beta" in answer.headers["Access-Control-Allow-Headers"]
        async with server.http.post(server.url + path, data=OFFER, headers=SDP) as answer:
            assert answer.status == 401
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_websockets_path_has_no_cors_of_its_own() -> None:
    async with running() as server, server.http.get(server.url + "/v1/realtime", headers=AUTH) as answer:
        assert answer.status == 426
        assert "Access-Control-Allow-Origin" not in answer.headers


# ------------------------------------------------------------------------------------- minting


@pytest.mark.parametrize(
    "path",
    [
        "/v1/realtime/sessions",
        "/openai/v1/realtime/sessions",
        "/openai/realtime/sessions?api-version=2025-04-01-preview",
        "/openai/realtimeapi/sessions?api-version=2025-04-01-preview",
    ],
)
async def test_a_session_is_minted(path: str) -> None:
    body = {
        "model": "my-deployment",
        "modalities": ["text", "audio"],
        "voice": "sage",
        "input_audio_format": "g711_ulaw",
        "turn_detection": {"silence_duration_ms": 700},
        "temperature": 0.8,
    }
    async with running() as server:
        async with server.http.post(server.url + path, json=body, headers=AUTH) as answer:
            assert answer.status == 200
            session = await answer.json()
        TypeAdapter(SessionCreateResponse).validate_python(session, strict=True)
        assert session["id"].startswith("sess_")
        assert session["object"] == "realtime.session"
        assert session["model"] == "my-deployment"
        assert session["modalities"] == ["audio", "text"]
        assert (session["voice"], session["input_audio_format"]) == ("sage", "g711_ulaw")
        assert session["turn_detection"]["silence_duration_ms"] == 700
        secret = session["client_secret"]
        assert abs(secret["expires_at"] - time.time() - 60) < 30

        bearer = {"Authorization": f"Bearer {secret['value']}", **SDP}
        async with server.http.post(server.url + "/v1/realtime", data=OFFER, headers=bearer) as answer:
            assert answer.status == 201
        call = server.calls.opened[-1]
        assert call.session_id == session["id"]
        assert call.model == "my-deployment"
        assert call.session is not None
        assert call.session.output_modalities == ["audio"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"type": "realtime"}, "unknown_parameter", "type"),
        ({"session": {"type": "realtime"}}, "unknown_parameter", "session"),
        ({"voice": 5}, "invalid_type", "voice"),
        ({"modalities": ["audio"]}, "invalid_value", "modalities"),
        ({"tool_choice": "look"}, "invalid_value", "tool_choice"),
        ({"client_secret": {"expires_after": {"seconds": 5}}}, "invalid_value",
         "client_secret.expires_after.seconds"),
    ],
)  # fmt: skip
async def test_a_mistake_is_named_as_the_body_has_it(body: Any, code: str, param: str) -> None:
    async with running() as server:
        url = server.url + "/v1/realtime/sessions"
        async with server.http.post(url, json=body, headers=AUTH) as answer:
            assert answer.status == 400
            error = (await answer.json())["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert f"session.{param}" not in error["message"]


async def test_minting_needs_the_key_and_a_known_model() -> None:
    config = Config(default_engines="scripted", strict_models=True)
    async with running(config) as server:
        url = server.url + "/v1/realtime/sessions"
        async with server.http.post(url, json={}) as answer:
            assert answer.status == 401
        async with server.http.post(url, json={"model": "nobody"}, headers=AUTH) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "model_not_found"
        async with server.http.post(url, json={}, headers=AUTH) as answer:
            token = (await answer.json())["client_secret"]["value"]
        async with server.http.post(url, json={}, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 401


async def test_a_session_that_only_transcribes_is_minted() -> None:
    async with running() as server:
        url = server.url + "/v1/realtime/transcription_sessions"
        async with server.http.post(url, json={}) as answer:
            assert answer.status == 401
        async with server.http.post(url, json={"voice": "ash"}, headers=AUTH) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["param"] == "voice"
        body = {"input_audio_transcription": {"model": "whisper-1"}}
        async with server.http.post(url, json=body, headers=AUTH) as answer:
            assert answer.status == 200
            session = await answer.json()
        TypeAdapter(TranscriptionSession).validate_python(session, strict=True)
        assert session["object"] == "realtime.transcription_session"
        headers = {"Authorization": f"Bearer {session['client_secret']['value']}"}
        async with server.http.ws_connect(server.url + "/v1/realtime", headers=headers):
            call = server.calls.opened[-1]
        assert call.session is not None
        assert kind_of(call.session) == "transcription"
