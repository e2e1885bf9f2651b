"""``realtime/translations`` of a whole worker with scripted engines: official SDK, secrets, refusals."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeTranslationClientSecretCreateResponse

from tests.call.sounds import silence, voice
from tests.media.peers import Client, loudness
from tests.server.test_end_to_end import KEY, OFFER, config, serving
from tests.session.translation import oracle
from vivavoz.config import Config, Limits
from vivavoz.engines.spec import EngineSet

MODEL = "gpt-realtime-translate"
PREFIXES = ["/v1", "/openai/v1", "/openai"]


def bearer(value: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


async def post(
    session: aiohttp.ClientSession, url: str, body: Any, value: str = KEY
) -> tuple[int, dict[str, Any]]:
    async with session.post(url, json=body, headers=bearer(value)) as response:
        return response.status, await response.json()


async def talk(connection: Any) -> list[Any]:
    """One phrase, and everything that is sent for it."""
    pcm = voice(900) + silence(600)
    for start in range(0, len(pcm), 9_600):
        audio = base64.b64encode(pcm[start : start + 9_600]).decode()
        await connection.send({"type": "session.input_audio_buffer.append", "audio": audio})
    await connection.send({"type": "session.close"})
    events = [event async for event in connection]
    for event in events:
        oracle.check_members(event.to_dict())
    return events


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_sdk_translates_with_the_key_and_with_a_secret(prefix: str, tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, asyncio.timeout(60):
        async with AsyncOpenAI(base_url=url + prefix, api_key=KEY) as client:
            wanted = {"model": MODEL, "audio": {"output": {"language": "pt"}}}
            secret = await client.realtime.translations.client_secrets.create(session=wanted)  # type: ignore[arg-type]
            assert secret.session.audio.output is not None
            assert secret.session.audio.output.language == "pt"
            assert secret.session.expires_at == secret.expires_at
            raw = secret.to_dict(exclude_unset=True)
            RealtimeTranslationClientSecretCreateResponse.model_validate(raw, strict=True)
            async with client.realtime.translations.connect(model=MODEL) as connection:
                created = await connection.recv()
                assert created.type == "session.created"
                assert created.session.model == MODEL
                transcription = {"audio": {"input": {"transcription": {"model": "w"}}}}
                await connection.session.update(session=transcription)
                updated = await connection.recv()
                assert updated.type == "session.updated"
                said = "".join(
                    event.delta
                    for event in await talk(connection)
                    if event.type == "session.output_transcript.delta"
                )
                assert said.startswith("In en: I said something")
        async with (
            AsyncOpenAI(base_url=url + prefix, api_key=secret.value) as client,
            client.realtime.translations.connect(model="not-looked-at") as connection,
        ):
            created = await connection.recv()
            assert created.session.id == secret.session.id
            assert created.session.model == MODEL
            events = await talk(connection)
            assert events[-1].type == "session.closed"
            assert {event.type for event in events} == {
                "session.output_transcript.delta",
                "session.output_audio.delta",
                "session.closed",
            }
            sound = [event for event in events if event.type == "session.output_audio.delta"]
            assert {(e.sample_rate, e.channels, e.format) for e in sound} == {(24000, 1, "pcm16")}


async def test_the_socket_closes_normally_after_the_session(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        aiohttp.ClientSession(headers=bearer()) as session,
        asyncio.timeout(60),
        session.ws_connect(f"{url}/v1/realtime/translations?model={MODEL}") as socket,
    ):
        await socket.send_json({"type": "session.close"})
        types = [(await socket.receive_json())["type"] for _ in range(2)]
        assert types == ["session.created", "session.closed"]
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000


async def test_a_browser_opens_a_webrtc_call_with_its_secret(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        aiohttp.ClientSession() as session,
        asyncio.timeout(60),
    ):
        _, secret = await post(
            session, f"{url}/v1/realtime/translations/client_secrets", {"session": {"model": MODEL}}
        )
        headers = {
            **bearer(secret["value"]),
            "Content-Type": "application/sdp",
            "Origin": "https://a.example",
        }
        where = f"{url}/v1/realtime/translations/calls"
        async with session.post(where, data=OFFER, headers=headers) as response:
            assert response.status == 201
            assert (await response.text()).startswith("v=0")
            assert response.headers["Location"].startswith("/v1/realtime/calls/rtc_")
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            hangup = url + response.headers["Location"] + "/hangup"
        async with session.post(hangup, headers=bearer()) as response:
            assert response.status == 200
        preflight = {"Access-Control-Request-Method": "POST", "Origin": "https://a.example"}
        async with session.options(where, headers=preflight) as response:
            assert response.status == 204


async def test_a_call_hears_its_track_and_speaks_on_the_other(tmp_path: Path) -> None:
    async with (
        serving(config(tmp_path), KEY) as url,
        aiohttp.ClientSession(headers=bearer()) as session,
    ):

        async def answer(offer: str) -> str:
            where = f"{url}/v1/realtime/translations/calls?model={MODEL}"
            async with session.post(
                where, data=offer, headers={"Content-Type": "application/sdp"}
            ) as response:
                assert response.status == 201
                return await response.text()

        client = Client(pcm=silence(300) + voice(900) + silence(600))
        try:
            await client.connect(answer)
            events = [json.loads(await client.message())]
            while "session.output_transcript.delta" not in {event["type"] for event in events}:
                events.append(json.loads(await client.message()))
            assert client.channel is not None
            client.channel.send(json.dumps({"type": "session.close"}))
            while events[-1]["type"] != "session.closed":
                events.append(json.loads(await client.message()))
            await client.hear(lambda heard: loudness(bytes(heard)) > 0.01)
        finally:
            await client.close()
        for event in events:
            oracle.check_members(event)
        assert events[0]["type"] == "session.created"
        words = "".join(e["delta"] for e in events if e["type"] == "session.output_transcript.delta")
        assert words.startswith("In en: I said something")
        # The sound is on the track, so the data channel carries none.
        assert "session.output_audio.delta" not in {event["type"] for event in events}


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.model"),
        ({"model": 3}, "invalid_type", "session.model"),
        ({"model": "m", "voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"model": "m", "type": "realtime"}, "invalid_value", "session.type"),
        (
            {"model": "m", "audio": {"output": {"language": "xx"}}},
            "invalid_value",
            "session.audio.output.language",
        ),
        (
            {"model": "m", "audio": {"input": {"transcription": {}}}},
            "missing_required_parameter",
            "session.audio.input.transcription.model",
        ),
        (
            {"model": "m", "audio": {"input": {"noise_reduction": {"type": "far"}}}},
            "invalid_value",
            "session.audio.input.noise_reduction.type",
        ),
        (
            {"model": "m", "audio": {"input": {"turn_detection": None}}},
            "unknown_parameter",
            "session.audio.input.turn_detection",
        ),
    ],
)
async def test_a_secret_for_nonsense_is_refused_by_name(
    session: dict[str, Any], code: str, param: str, tmp_path: Path
) -> None:
    async with serving(config(tmp_path), KEY) as url, aiohttp.ClientSession() as http, asyncio.timeout(60):
        status, body = await post(
            http, f"{url}/v1/realtime/translations/client_secrets", {"session": session}
        )
        assert status == 400
        assert (body["error"]["code"], body["error"]["param"]) == (code, param)
        status, body = await post(http, f"{url}/v1/realtime/translations/client_secrets", {})
        assert (status, body["error"]["param"]) == (400, "session")


async def test_secrets_open_their_own_kind_of_session_only(tmp_path: Path) -> None:
    async with serving(config(tmp_path), KEY) as url, aiohttp.ClientSession() as http, asyncio.timeout(60):
        _, translating = await post(
            http, f"{url}/v1/realtime/translations/client_secrets", {"session": {"model": MODEL}}
        )
        _, talking = await post(http, f"{url}/v1/realtime/client_secrets", {})
        for value, path in (
            (translating["value"], "realtime?model=m"),
            (talking["value"], "realtime/translations?model=m"),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{url}/v1/{path}", headers=bearer(value))
            assert refused.value.status == 403
        status, body = await post(
            http,
            f"{url}/v1/realtime/translations/client_secrets",
            {"session": {"model": "m"}},
            talking["value"],
        )
        assert (status, body["error"]["code"]) == (401, "api_key_required")


async def test_a_handshake_is_refused_in_http(tmp_path: Path) -> None:
    limits = Limits(sessions=1)
    async with serving(config(tmp_path, limits), KEY) as url, aiohttp.ClientSession() as http:
        where = f"{url}/v1/realtime/translations"
        async with asyncio.timeout(60):
            for value, query, status in (("wrong", "?model=m", 401), (KEY, "", 400)):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await http.ws_connect(where + query, headers=bearer(value))
                assert refused.value.status == status
            async with http.get(f"{where}?model=m", headers=bearer()) as response:
                assert response.status == 426
            async with http.ws_connect(f"{where}?model=m", headers=bearer()) as first:
                await first.receive()
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await http.ws_connect(f"{where}?model=m", headers=bearer())
                assert refused.value.status == 503


async def test_engines_without_a_language_model_do_not_translate(tmp_path: Path) -> None:
    plain = config(tmp_path)
    deaf = Config(
        default_engines="hears",
        server=plain.server,
        engines={"hears": EngineSet(base="scripted", llm="none")},
    )
    async with serving(deaf, KEY) as url, aiohttp.ClientSession() as http, asyncio.timeout(60):
        status, body = await post(
            http, f"{url}/v1/realtime/translations/client_secrets", {"session": {"model": "m"}}
        )
        assert (status, body["error"]["param"]) == (400, "session.model")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/v1/realtime/translations?model=m", headers=bearer())
        assert refused.value.status == 400
