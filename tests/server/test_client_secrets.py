"""``POST /realtime/client_secrets``."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.server.fakes import KEY, Running, running
from vivavoz.config import Config, Limits
from vivavoz.wire.errors import invalid_value

AUTH = {"Authorization": f"Bearer {KEY}"}


async def post(server: Running, body: Any, prefix: str = "/v1") -> tuple[int, dict[str, Any]]:
    url = f"{server.url}{prefix}/realtime/client_secrets"
    options = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with server.http.post(url, headers=AUTH, **options) as answer:
        found: dict[str, Any] = await answer.json()
        return answer.status, found


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
async def test_the_session_comes_back_whole(prefix: str) -> None:
    async with running() as server:
        session = {
            "type": "realtime",
            "model": "my-deployment",
            "instructions": "Be brief.",
            "audio": {"output": {"voice": "marin"}},
        }
        status, answer = await post(server, {"session": session}, prefix)
        assert status == 200
        assert answer["value"].startswith("ek_")
        assert abs(answer["expires_at"] - time.time() - 600) < 30
        echoed = answer["session"]
        assert echoed["object"] == "realtime.session"
        assert echoed["id"].startswith("sess_")
        assert echoed["expires_at"] == 0
        assert echoed["model"] == "my-deployment"
        assert echoed["audio"]["output"]["voice"] == "marin"
        # Null members are there, not left out.
        assert {"tracing", "prompt", "include"} <= {name for name, value in echoed.items() if value is None}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"session": null}'])
async def test_nothing_asked_gives_the_defaults(body: bytes) -> None:
    async with running() as server:
        status, answer = await post(server, body)
        assert status == 200
        assert answer["session"]["model"] == "gpt-realtime"


@pytest.mark.parametrize(("seconds", "status"), [(10, 200), (7200, 200), (9, 400), (7201, 400), ("60", 400)])
async def test_the_life_of_a_token(seconds: Any, status: int) -> None:
    async with running() as server:
        got, answer = await post(server, {"expires_after": {"anchor": "created_at", "seconds": seconds}})
        assert got == status
        if status == 200:
            assert abs(answer["expires_at"] - time.time() - seconds) < 30
        else:
            assert answer["error"]["param"] == "expires_after.seconds"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b'{"session": {"type": "realtime"', "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b"[]", "invalid_type", None),
        (b'{"session": {}}', "missing_required_parameter", "session.type"),
        (b'{"session": {"type": "realtime", "x": 1}}', "unknown_parameter", "session.x"),
        (
            b'{"session": {"type": "realtime", "output_modalities": ["text", "audio"]}}',
            "invalid_value",
            "session.output_modalities",
        ),
    ],
)
async def test_bad_bodies_are_named(body: bytes, code: str, param: str | None) -> None:
    async with running() as server:
        status, answer = await post(server, body)
        assert status == 400
        assert (answer["error"]["code"], answer["error"]["param"]) == (code, param)


async def test_a_hundred_kilobytes_of_instructions() -> None:
    async with running() as server:
        text = "".join(f"Rule {number}: never say {number * 7919 % 100003}. " for number in range(4000))
        status, answer = await post(server, {"session": {"type": "realtime", "instructions": text}})
        assert status == 200
        assert len(answer["value"]) < 4096
        headers = {"Authorization": f"Bearer {answer['value']}"}
        async with server.http.ws_connect(server.url + "/v1/realtime", headers=headers):
            pass
        (call,) = server.calls.opened
        assert call.session is not None
        assert call.session.instructions == text


async def test_too_big() -> None:
    config = Config(default_engines="scripted", limits=Limits(body_bytes=2000))
    async with running(config) as server:
        status, answer = await post(server, b'{"session": "' + b"x" * 3000 + b'"}')
        assert (status, answer["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("prefix", "code"), [("/v1", "model_not_found"), ("/openai/v1", "DeploymentNotFound")]
)
async def test_strict_models(prefix: str, code: str) -> None:
    async with running(Config(default_engines="scripted", strict_models=True)) as server:
        status, answer = await post(server, {"session": {"type": "realtime", "model": "nope"}}, prefix)
        assert (status, answer["error"]["code"]) == (404, code)
        status, _ = await post(
            server, {"session": {"type": "realtime", "model": "gpt-realtime-mini"}}, prefix
        )
        assert status == 200


async def test_what_no_call_could_begin_with_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the engines are there to be asked; else it is refused when the token is used."""

    def refuse(session: Any, model: str) -> None:
        raise invalid_value("No.", "include")

    async with running() as server:
        monkeypatch.setattr(server.calls, "check", refuse)
        await server.service.engines.wait_ready("gpt-realtime", 5)
        status, answer = await post(server, {"session": {"type": "realtime"}})
        assert (status, answer["error"]["param"]) == (400, "session.include")
        monkeypatch.setattr(server.service.engines, "ready", lambda model: False)
        assert (await post(server, {"session": {"type": "realtime"}}))[0] == 200
