"""``strict_azure``: what Azure refuses is refused here, in its words; what it takes works."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.server.entra_tokens import token
from tests.server.fakes import ANSWER, KEY, OFFER, Running, running
from tests.server.test_entra import checking
from vivavoz.assembly import call_settings
from vivavoz.config import Config, Limits, Model, Server
from vivavoz.engines.spec import EngineSet

AZURE = Config(
    default_engines="scripted",
    server=Server(strict_azure=True),
    models={"my-deployment": Model(), "scribe": Model(engines="scribes")},
    engines={"scribes": EngineSet(base="scripted", llm="none", tts="none")},
)
PREFIX = "/openai/v1/realtime"
HAS_KEY = {"api-key": KEY}
SESSION = {"session": {"type": "realtime", "model": "my-deployment"}}


class Answer:
    def __init__(self, status: int, headers: Any, text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)["error"]
        return found


async def post(server: Running, path: str, headers: dict[str, str], body: Any = None) -> Answer:
    data = json.dumps(body) if isinstance(body, dict) else body
    async with server.http.post(server.url + path, headers=headers, data=data) as answer:
        return Answer(answer.status, answer.headers, await answer.text())


async def mint(server: Running, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await post(server, PREFIX + "/client_secrets", headers or HAS_KEY, SESSION)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text)
    return found


async def handshake(server: Running, path: str, **options: Any) -> int:
    try:
        async with server.http.ws_connect(server.url + path, **options):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def test_the_documented_way_works() -> None:
    async with running(AZURE) as server:
        secret = await mint(server)
        headers = {"Authorization": f"Bearer {secret['value']}", "Content-Type": "application/sdp"}
        answer = await post(server, PREFIX + "/calls?webrtcfilter=on", headers, OFFER)
        assert (answer.status, answer.text) == (201, ANSWER)
        assert answer.headers["Location"].startswith("/v1/realtime/calls/rtc_")
        call_id = answer.headers["Location"].rsplit("/", 1)[1]
        assert await handshake(server, f"{PREFIX}?call_id={call_id}", headers=HAS_KEY) == 101
        assert (await post(server, f"{PREFIX}/calls/{call_id}/hangup", HAS_KEY)).status == 200


async def test_entra_tokens_do_what_keys_do() -> None:
    async with running(AZURE, entra=checking()) as server:
        bearer = {"Authorization": f"Bearer {token()}"}
        assert (await mint(server, bearer))["value"].startswith("ek_")
        assert await handshake(server, f"{PREFIX}?model=my-deployment", headers=bearer) == 101


@pytest.mark.parametrize(
    "headers", [HAS_KEY, {"Authorization": f"Bearer {token()}"}], ids=["key", "Entra token"]
)
async def test_calls_are_for_client_secrets(headers: dict[str, str]) -> None:
    async with running(AZURE, entra=checking()) as server:
        answer = await post(server, PREFIX + "/calls", {**headers, "Content-Type": "application/sdp"}, OFFER)
        assert answer.status == 401
        assert "requires ephemeral tokens" in answer.error["message"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_offers_are_bare_sdp() -> None:
    async with running(AZURE) as server:
        secret = await mint(server)
        form = aiohttp.FormData({"sdp": OFFER}, default_to_multipart=True)
        answer = await post(server, PREFIX + "/calls", {"Authorization": f"Bearer {secret['value']}"}, form)
        assert answer.status == 415
        assert "multipart" not in answer.error["message"].split("Send")[1]


async def test_a_key_is_no_bearer_token() -> None:
    async with running(AZURE) as server:
        answer = await post(server, PREFIX + "/client_secrets", {"Authorization": f"Bearer {KEY}"}, SESSION)
        assert answer.status == 401
        assert answer.error.keys() == {"code", "message"}
        assert answer.error["code"] == "401"
        assert "api-key" in answer.error["message"]
        assert KEY not in answer.text
        path = f"{PREFIX}?model=my-deployment"
        assert await handshake(server, path, protocols=[f"openai-insecure-api-key.{KEY}"]) == 401
        assert await handshake(server, f"{path}&api-key={KEY}") == 101


async def test_without_a_credential_it_is_the_gateway_that_answers() -> None:
    async with running(AZURE) as server:
        answer = await post(server, PREFIX + "/client_secrets", {}, SESSION)
        assert (answer.status, answer.error["code"]) == (401, "401")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/realtime/client_secrets",
        "/v1/realtime/sessions",
        "/openai/v1/realtime/sessions",
        "/openai/realtime/client_secrets",
        "/v1/realtimertc",
        "/openai/realtimeapi/sessions",
        "/openai/v1/nothing",
    ],
)
async def test_other_paths_are_not_there(path: str) -> None:
    async with running(AZURE) as server:
        answer = await post(server, path, HAS_KEY, SESSION)
        assert (answer.status, answer.error["code"]) == (404, "404")
        assert answer.error.keys() == {"code", "message"}


async def test_a_deployment_must_be_configured() -> None:
    async with running(AZURE) as server:
        for model in ("gpt-realtime", "nobody-made-it"):
            session = {"session": {"type": "realtime", "model": model}}
            answer = await post(server, PREFIX + "/client_secrets", HAS_KEY, session)
            assert (answer.status, answer.error["code"]) == (404, "DeploymentNotFound")
            assert answer.error.keys() == {"code", "message"}
            assert await handshake(server, f"{PREFIX}?model={model}", headers=HAS_KEY) == 404


async def test_a_deployment_that_does_not_converse() -> None:
    async with running(AZURE) as server:
        session = {"session": {"type": "realtime", "model": "scribe"}}
        answer = await post(server, PREFIX + "/client_secrets", HAS_KEY, session)
        assert (answer.status, answer.error["code"]) == (400, "OpperationNotSupported")
        assert await handshake(server, f"{PREFIX}?model=scribe", headers=HAS_KEY) == 400
    # On OpenAI's path, in our own words; transcribing is what it is for.
    lenient = Config(default_engines="scripted", models=AZURE.models, engines=AZURE.engines)
    async with running(lenient) as server:
        answer = await post(server, "/v1/realtime/client_secrets", HAS_KEY, session)
        assert (answer.status, answer.error["code"]) == (400, "model_not_supported")
        transcribing = {"session": {"type": "transcription"}}
        path = "/v1/realtime/client_secrets?model=scribe"
        assert (await post(server, path, HAS_KEY, transcribing)).status == 200


async def test_what_the_service_itself_refuses_has_all_members() -> None:
    async with running(AZURE) as server:
        answer = await post(
            server, PREFIX + "/client_secrets", HAS_KEY, {"session": {"type": "realtime", "x": 1}}
        )
        assert answer.status == 400
        assert answer.error["param"] == "session.x"


async def test_every_answer_has_azures_request_id() -> None:
    async with running(AZURE) as server:
        answers = [
            await post(server, PREFIX + "/client_secrets", HAS_KEY, SESSION),
            await post(server, PREFIX + "/client_secrets", {}, SESSION),
            await post(server, "/nowhere", {}),
        ]
        assert all(answer.headers["apim-request-id"] for answer in answers)
        assert len({answer.headers["apim-request-id"] for answer in answers}) == 3
        url = f"{server.url}{PREFIX}?model=my-deployment"
        async with server.http.ws_connect(url, headers=HAS_KEY) as websocket:
            assert websocket._response.headers["apim-request-id"]
    async with running() as server:
        answer = await post(server, PREFIX + "/client_secrets", HAS_KEY, SESSION)
        assert "apim-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        (AZURE, 7200),
        (Config(default_engines="scripted"), 600),
        (
            Config(
                default_engines="scripted",
                server=AZURE.server,
                models=AZURE.models,
                engines=AZURE.engines,
                limits=Limits(token_seconds=900),
            ),
            900,
        ),
    ],
)
async def test_how_long_a_client_secret_lives(config: Config, seconds: int) -> None:
    async with running(config) as server:
        before = server.service.tokens._clock()
        expires_at = (await mint(server))["expires_at"]
        assert seconds - 1 <= expires_at - before <= seconds + 30


async def test_azures_sdk_clients_are_let_in_where_they_dial() -> None:
    """``/openai/realtime?api-version=…&deployment=…``: the Python ``AzureOpenAI`` class."""
    async with running(AZURE) as server:
        path = "/openai/realtime?api-version=2025-08-28&deployment=my-deployment"
        assert await handshake(server, path, headers=HAS_KEY) == 101


def test_what_calls_are_told_of_it() -> None:
    models = {"talk": Model(aliases=("talk-2",)), "write": Model()}
    strict = Config(server=Server(strict_azure=True), models=models)
    settings = call_settings(strict)
    assert settings.transcribers == ("talk", "talk-2", "write")
    assert not settings.tells_rate_limits
    settings = call_settings(Config(models=models))
    assert settings.transcribers is None
    assert settings.tells_rate_limits
