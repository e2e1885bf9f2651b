"""``POST /realtime/calls`` in both encodings, and ``hangup``."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.server.fakes import ANSWER, KEY, OFFER, FakeCalls, Running, running
from vivavoz.config import Config, Limits

AUTH = {"Authorization": f"Bearer {KEY}"}
SDP = {**AUTH, "Content-Type": "application/sdp"}
BOUNDARY = "xYzZY"


def form(*parts: tuple[str, str], boundary: str = BOUNDARY) -> bytes:
    """Multipart text from ``(headers, content)`` pairs."""
    lines = [f"--{boundary}\r\n{headers}\r\n\r\n{content}\r\n" for headers, content in parts]
    return ("".join(lines) + f"--{boundary}--\r\n").encode()


def disposition(name: str, extra: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{extra}'


async def post(server: Running, data: Any, headers: dict[str, str], **params: str) -> tuple[int, Any, Any]:
    url = server.url + "/v1/realtime/calls"
    async with server.http.post(url, data=data, headers=headers, params=params) as answer:
        text = await answer.text()
        return answer.status, (json.loads(text)["error"] if answer.status >= 400 else text), answer.headers


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
async def test_the_answer_comes_with_its_call(prefix: str) -> None:
    async with running() as server:
        url = f"{server.url}{prefix}/realtime/calls?webrtcfilter=on&api-version=1&whatever="
        async with server.http.post(url, data=OFFER, headers=SDP) as answer:
            assert answer.status == 201
            assert answer.content_type == "application/sdp"
            assert await answer.text() == ANSWER
            (call,) = server.calls.opened
            # Without the prefix that was used, a query, or a slash at the end: clients parse it.
            assert answer.headers["Location"] == f"/v1/realtime/calls/{call.id}"
        assert call.filtered == "on"
        assert call.model is None


@pytest.mark.parametrize(
    ("query", "filtered"),
    [
        ({}, "off"),
        ({"webrtcfilter": "off"}, "off"),
        ({"webrtcfilter": "on"}, "on"),
        ({"webrtcfilter": "strict"}, "strict"),
    ],
)
async def test_the_filter_is_on_when_it_is_on(query: dict[str, str], filtered: str) -> None:
    async with running() as server:
        await post(server, OFFER, SDP, **query)
        assert server.calls.opened[0].filtered == filtered


@pytest.mark.parametrize("query", ["model", "deployment"])
async def test_the_model_from_the_url(query: str) -> None:
    async with running() as server:
        await post(server, OFFER, SDP, **{query: "my-model"})
        assert server.calls.opened[0].model == "my-model"


async def test_the_session_from_the_token_and_as_often_as_wanted() -> None:
    async with running() as server:
        session = {"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be brief."}
        url = server.url + "/openai/v1/realtime/client_secrets"
        async with server.http.post(url, json={"session": session}, headers=AUTH) as answer:
            minted = await answer.json()
        headers = {**SDP, "Authorization": f"Bearer {minted['value']}"}
        for _ in range(2):
            assert (await post(server, OFFER, headers))[0] == 201
        for call in server.calls.opened:
            assert call.session is not None
            assert call.session.instructions == "Be brief."
            assert call.model == "gpt-realtime-mini"
            assert call.session_id == minted["session"]["id"]


async def test_a_session_beside_a_token_changes_the_tokens() -> None:
    async with running() as server:
        minted = {
            "type": "realtime",
            "instructions": "Be brief.",
            "audio": {"output": {"voice": "marin"}, "input": {"turn_detection": None}},
        }
        url = server.url + "/v1/realtime/client_secrets"
        async with server.http.post(url, json={"session": minted}, headers=AUTH) as answer:
            token = (await answer.json())["value"]
        session = {"type": "realtime", "model": "mine", "audio": {"output": {"speed": 1.2}}}
        body = form((disposition("sdp"), OFFER), (disposition("session"), json.dumps(session)))
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        assert (await post(server, body, headers))[0] == 201
        (call,) = server.calls.opened
        assert json.loads(msgspec.json.encode(call.session)) == {
            "type": "realtime",
            "model": "mine",
            "instructions": "Be brief.",
            "audio": {"output": {"voice": "marin", "speed": 1.2}, "input": {"turn_detection": None}},
        }


SESSION = '{"type": "realtime", "model": "gpt-realtime-mini"}'
GOOD_FORMS = {
    "SDK: content types, no file names": form(
        (disposition("sdp") + "\r\nContent-Type: application/sdp", OFFER),
        (disposition("session") + "\r\nContent-Type: application/json", SESSION),
    ),
    "browser: neither": form((disposition("sdp"), OFFER), (disposition("session"), SESSION)),
    "files, the other way round, and something else": form(
        (disposition("session", '; filename="s.json"'), SESSION),
        (disposition("other"), "x"),
        (disposition("sdp", '; filename="o.sdp"') + "\r\nContent-Type: application/octet-stream", OFFER),
    ),
}


@pytest.mark.parametrize("name", GOOD_FORMS)
async def test_forms(name: str) -> None:
    async with running() as server:
        headers = {**AUTH, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        status, text, _ = await post(server, GOOD_FORMS[name], headers)
        assert (status, text) == (201, ANSWER)
        assert server.calls.opened[0].model == "gpt-realtime-mini"


async def test_a_form_needs_no_session() -> None:
    async with running() as server:
        data = aiohttp.FormData({"sdp": OFFER}, default_to_multipart=True)
        assert (await post(server, data, AUTH))[0] == 201


BAD_FORMS: dict[str, tuple[bytes, str]] = {
    "no sdp": (form((disposition("session"), SESSION)), "missing_required_parameter"),
    "sdp twice": (form((disposition("sdp"), OFFER), (disposition("sdp"), OFFER)), "invalid_multipart"),
    "cut in a part": (form((disposition("sdp"), OFFER))[:-30], "invalid_multipart"),
    "cut in a header": (b"--xYzZY\r\nContent-Dispo", "invalid_multipart"),
    "another boundary": (form((disposition("sdp"), OFFER), boundary="other"), "invalid_multipart"),
    "nothing": (b"", "invalid_multipart"),
    "garbage": (bytes(range(256)) * 4, "invalid_multipart"),
    "many parts": (form(*[(disposition(f"p{number}"), "x") for number in range(40)]), "invalid_multipart"),
    "bad json": (form((disposition("sdp"), OFFER), (disposition("session"), '{"type":')), "invalid_json"),
    "bad session": (
        form((disposition("sdp"), OFFER), (disposition("session"), '{"type":"realtime","foo":1}')),
        "unknown_parameter",
    ),
    "not utf-8": (form((disposition("sdp"), OFFER)).replace(b"v=0", b"v=0\xff"), "invalid_offer"),
}


@pytest.mark.parametrize("name", BAD_FORMS)
async def test_bad_forms(name: str) -> None:
    body, code = BAD_FORMS[name]
    async with running() as server:
        headers = {**AUTH, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        status, error, _ = await post(server, body, headers)
        assert (status, error["code"]) == (400, code)
        assert not server.calls.opened


async def test_a_form_without_a_boundary() -> None:
    async with running() as server:
        status, error, _ = await post(
            server, form((disposition("sdp"), OFFER)), {**AUTH, "Content-Type": "multipart/form-data"}
        )
        assert (status, error["code"]) == (400, "invalid_multipart")


async def test_an_error_in_the_session_part_names_its_path() -> None:
    async with running() as server:
        headers = {**AUTH, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        _, error, _ = await post(server, BAD_FORMS["bad session"][0], headers)
        assert error["param"] == "session.foo"
        assert error["message"] == "Unknown parameter: 'session.foo'."


@pytest.mark.parametrize("body", ["", "hello", "{}", b"\xff\xfe", b"v=0\xff"])
async def test_what_is_no_sdp(body: Any) -> None:
    async with running() as server:
        status, error, _ = await post(server, body, SDP)
        assert (status, error["code"], error["param"]) == (400, "invalid_offer", "sdp")
        assert not server.calls.opened


async def test_an_offer_that_media_refuses_leaves_no_call() -> None:
    async with running() as server:
        status, error, _ = await post(server, OFFER + "broken", SDP)
        assert (status, error["message"]) == (400, "The offer has no audio section.")
        assert len(server.calls) == 0


async def test_our_own_failure_leaves_no_call_and_tells_nothing() -> None:
    async with running() as server:
        status, error, headers = await post(server, OFFER + "explode", SDP)
        assert (status, error["type"], error["code"]) == (500, "server_error", "internal_error")
        assert "secret" not in error["message"]
        assert headers["x-request-id"] in error["message"]
        assert len(server.calls) == 0


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("kind", ["sdp", "form"])
async def test_bodies_too_big(chunked: bool, kind: str) -> None:
    config = Config(default_engines="scripted", limits=Limits(sdp_bytes=2000, body_bytes=4000))
    async with running(config) as server:
        big = OFFER + "a=x\r\n" * 100_000
        body, headers = (big.encode(), SDP)
        if kind == "form":
            body = form((disposition("sdp"), big))
            headers = {**AUTH, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

        async def pieces() -> Any:
            for start in range(0, len(body), 10_000):
                yield body[start : start + 10_000]

        try:
            status, error, _ = await post(server, pieces() if chunked else body, headers)
        except aiohttp.ClientConnectionError:
            # Refused before we had written it all; seen by a client that reads only at the end.
            return
        assert (status, error["code"]) == (413, "request_too_large")
        assert not server.calls.opened


async def test_at_capacity() -> None:
    async with running(calls=FakeCalls(capacity=1)) as server:
        assert (await post(server, OFFER, SDP))[0] == 201
        status, error, headers = await post(server, OFFER, SDP)
        assert (status, error["code"], error["type"]) == (503, "server_at_capacity", "server_error")
        assert int(headers["Retry-After"]) > 0


async def test_hangup_ends_the_call_once() -> None:
    async with running() as server:
        await post(server, OFFER, SDP)
        (call,) = server.calls.opened
        url = f"{server.url}/openai/v1/realtime/calls/{call.id}/hangup"
        async with server.http.post(url, headers=AUTH) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        assert call.closed.is_set()
        async with server.http.post(url, headers=AUTH) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "call_id_not_found"


@pytest.mark.parametrize("call_id", ["rtc_" + "0" * 32, "rtc_", "x", "rtc_" + "é" * 9, "r" * 3000])
async def test_unknown_ids(call_id: str) -> None:
    async with running() as server:
        url = f"{server.url}/v1/realtime/calls/{call_id}/hangup"
        async with server.http.post(url, headers=AUTH) as answer:
            assert answer.status == 404
            error = (await answer.json())["error"]
            assert error["code"] == "call_id_not_found"
            assert len(error["message"]) < 200
