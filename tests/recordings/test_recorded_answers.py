"""The application before a service that answers as the hosted ones did, and expects what they were asked.

The recordings are looked for as in ``test_recorded_traffic``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from aiohttp import web

from tests.app.rig import listening, serving
from tests.app.test_entry import form
from tests.recordings.test_recorded_traffic import FOLDERS, REASON
from vivavoz.app.config import App

KEY = "the-key-of-the-service"
AZURE = "test_azure_answer_webrtc_offer_records"
OPENAI = "test_answer_webrtc_offer"
TOKEN = "test_create_client_secret"


def interactions(name: str) -> list[dict[str, Any]]:
    found = [path for folder in FOLDERS for path in folder.glob(f"*/{name}.yaml")]
    if not found:
        pytest.skip(REASON)
    return [each for each in yaml.safe_load(found[0].read_text())["interactions"] if "request" in each]


class Recorded:
    """Answers each request in turn as the recording does."""

    def __init__(self, name: str) -> None:
        self.left = interactions(name)
        self.expected = list(self.left)
        self.asked: list[tuple[str, bytes, dict[str, str]]] = []

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.read(), dict(request.headers)))
        recorded = self.left.pop(0)["response"]
        headers = {name: values[0] for name, values in recorded["headers"].items()}
        for name in ("content-length", "transfer-encoding", "connection", "content-encoding"):
            headers.pop(name, None)
        body = recorded.get("parsed_body")
        if body is not None:
            data = msgspec.json.encode(body)
        else:
            data = recorded["body"]["string"].encode()
        return web.Response(status=recorded["status"]["code"], body=data, headers=headers)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def request(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.expected[number]["request"]
        return found


def profiles(folder: Path, session: dict[str, Any]) -> str:
    """A file with one profile of this session."""
    path = folder / "profiles.toml"
    # JSON strings and keys are TOML's as well; inline tables hold the rest.
    path.write_text(f"[profiles.default]\nsession = {inline(session)}\n")
    return str(path)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {inline(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return msgspec.json.encode(value).decode()


async def test_a_call_of_azures(tmp_path: Path) -> None:
    recorded = Recorded(AZURE)
    session = recorded.request(0)["parsed_body"]["session"]
    offer = recorded.request(1)["body"]
    async with listening(recorded.app()) as url:
        config = App(upstream="azure", endpoint=url, profiles=profiles(tmp_path, session))
        async with serving(config, tmp_path, environment={"AZURE_OPENAI_API_KEY": KEY}) as app:
            status, answer, headers = await app.connect(offer)
    assert status == 201
    assert answer == recorded.expected[1]["response"]["body"]["string"]
    named = recorded.expected[1]["response"]["headers"]
    location = next(values[0] for name, values in named.items() if name.lower() == "location")
    assert headers["Location"] == "/api/calls/" + location.rpartition("/")[2]
    minted, called = recorded.asked
    for number, (path, _, _) in enumerate(recorded.asked):
        assert path == urlsplit(recorded.request(number)["uri"]).path
    assert msgspec.json.decode(minted[1])["session"] == session
    assert called[1].decode() == offer
    assert called[2]["Content-Type"] == recorded.request(1)["headers"]["content-type"][0]
    value = recorded.expected[0]["response"]["parsed_body"]["value"]
    assert called[2]["Authorization"] == f"Bearer {value}"


async def test_a_call_of_openais(tmp_path: Path) -> None:
    recorded = Recorded(OPENAI)
    parts = form(recorded.request(0)["body"].encode(), recorded.request(0)["headers"]["content-type"][0])
    session = msgspec.json.decode(parts["session"])
    async with listening(recorded.app()) as url:
        config = App(upstream="openai", endpoint=url, profiles=profiles(tmp_path, session))
        async with serving(config, tmp_path, environment={"OPENAI_API_KEY": KEY}) as app:
            status, answer, headers = await app.connect(parts["sdp"].decode())
    assert (status, answer) == (201, recorded.expected[0]["response"]["body"]["string"])
    assert headers["Location"].startswith("/api/calls/rtc_")
    ((path, body, sent),) = recorded.asked
    assert path == urlsplit(recorded.request(0)["uri"]).path
    ours = form(body, sent["Content-Type"])
    assert sorted(ours) == sorted(parts)
    assert msgspec.json.decode(ours["session"]) == session
    assert ours["sdp"].rstrip() == parts["sdp"].rstrip()


async def test_a_token_of_openais(tmp_path: Path) -> None:
    recorded = Recorded(TOKEN)
    asked = recorded.request(0)["parsed_body"]
    async with listening(recorded.app()) as url:
        config = App(upstream="openai", endpoint=url, profiles=profiles(tmp_path, asked["session"]))
        async with serving(config, tmp_path, environment={"OPENAI_API_KEY": KEY}) as app:
            status, given, _ = await app.token()
    answered = recorded.expected[0]["response"]["parsed_body"]
    assert status == 200
    assert given == {
        "token": answered["value"],
        "endpoint": f"{url}/v1/realtime/calls",
        "deployment": answered["session"]["model"],
    }
    assert msgspec.json.decode(recorded.asked[0][1]) == asked
