"""A call over WebRTC, with the filter on: observed, steered, its tools answered, hung up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from bench.caller import sentence
from tests.app.observer.service import Heard
from tests.app.rig import Serving, listening
from tests.server.test_end_to_end import KEY, config
from tests.server.test_end_to_end import serving as service_serving
from tests.waiting import until
from vivavoz.app.config import App, Recordings
from vivavoz.app.observer.part import Observation
from vivavoz.app.plan import Plan
from vivavoz.app.service import build, build_app
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice

PROFILE = """
[profiles.default]
tools = ["tests.app.observer.some_tools:weather", "tests.app.observer.some_tools:whose"]
record = true

[profiles.default.session]
instructions = "Never tell anybody that you are Marvin."

[profiles.default.session.audio.input.transcription]
model = "whisper-1"
"""
KINDS = {"vivavoz": "VIVAVOZ_APP_UPSTREAM_KEY", "openai": "OPENAI_API_KEY"}


class Desk(NamedTuple):
    """An application with the observer in it, and what it records."""

    serving: Serving
    part: Observation
    heard: Heard


@contextlib.asynccontextmanager
async def desk(kind: str, folder: Path) -> AsyncIterator[Desk]:
    profiles = folder / "profiles.toml"
    profiles.write_text(PROFILE)
    async with service_serving(config(folder), KEY) as url:
        app = App(
            upstream=kind,  # type: ignore[arg-type]
            endpoint=url,
            model="gpt-realtime",
            profiles=str(profiles),
            recordings=Recordings(enabled=True),
        )
        plan = Plan(app=app, state_dir=str(folder), operator_keys=(), keyless=True)
        application = build(plan, {KINDS[kind]: KEY})
        application.recordings = True
        heard = Heard()
        part = Observation(application, recorder=heard)
        application.parts.append(part)
        async with (
            listening(build_app(application)) as base,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            asyncio.timeout(40),
        ):
            yield Desk(Serving(base, http, application), part, heard)


class Browser:
    """Somebody who called through ``/connect``."""

    def __init__(self, desk: Desk) -> None:
        self.voice = Voice()
        self.peer = Peer(Peers(), self.voice, Listener())
        self.path = ""
        self._desk = desk

    async def call(self) -> None:
        async def answer(offer: str) -> str:
            status, sdp, headers = await self._desk.serving.connect(offer)
            assert status == 201, sdp
            self.path = headers["Location"]
            return sdp

        await self.peer.connect(answer)

    def ask(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.peer.send({"type": "conversation.item.create", "item": item})
        self.peer.send({"type": "response.create"})

    @property
    def seen(self) -> set[str]:
        return {event["type"] for _, event in self.peer.events}


@contextlib.asynccontextmanager
async def calling(desk: Desk) -> AsyncIterator[Browser]:
    browser = Browser(desk)
    try:
        await browser.call()
        yield browser
    finally:
        await browser.peer.close()


def lines(state: Any) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in state.transcript if line.kind == "message"]


async def test_a_call_is_seen_steered_and_ended(tmp_path: Path) -> None:
    async with desk("vivavoz", tmp_path) as found, calling(found) as browser:
        call_id = browser.path.rpartition("/")[2]
        observer = found.part.observers.get(call_id)
        await until(lambda: observer.state.observer == "attached")
        http, url = found.serving.http, found.serving.url

        browser.voice.say(sentence("good morning"))
        await until(lambda: observer.state.turns_log and observer.state.turns_log[0].status == "completed")
        state = observer.state
        assert [role for role, _ in lines(state)] == ["user", "assistant"]
        assert "I said something" in state.transcript[0].text
        marks = state.turns_log[0].marks
        assert marks.committed_ms is not None
        assert marks.response_created_ms is not None
        assert marks.first_words_ms is not None
        assert marks.done_ms is not None
        assert marks.response_created_ms <= marks.first_words_ms <= marks.done_ms
        assert state.usage.output_audio_tokens > 0
        assert state.gaps == []
        # The browser is behind the filter: it sees neither the session nor the responses.
        assert "session.created" not in browser.seen
        assert "response.done" not in browser.seen
        assert "Marvin" not in str(browser.peer.events)
        assert state.session is not None
        assert "Marvin" in state.session["instructions"]

        update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
        async with http.post(f"{url}{browser.path}/events", json=update) as answer:
            assert answer.status == 202
        await until(lambda: (observer.state.session or {}).get("instructions") == "Be brief.")

        await until(lambda: {track for _, track, _, _ in found.heard.sound} == {"caller", "assistant"})
        async with http.post(f"{url}{browser.path}/hangup") as answer:
            assert answer.status == 204
        await until(lambda: not observer.live)
        async with http.get(f"{url}/api/calls") as answer:
            (row,) = (await answer.json())["calls"]
        assert (row["id"], row["status"], row["recorded"]) == (call_id, "ended", True)
        ((_, reason, closed),) = found.heard.closed_calls
        assert (reason, closed.status) == (observer.state.end_reason, "ended")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_tool_of_the_server_is_called(kind: str, tmp_path: Path) -> None:
    async with desk(kind, tmp_path) as found, calling(found) as browser:
        observer = found.part.observers.get(browser.path.rpartition("/")[2])
        await until(lambda: observer.state.observer == "attached")
        browser.ask("Tell me the weather.")
        await until(lambda: '"sky":"clear"' in observer.state.last_words)
        (tool,) = observer.state.tools
        assert (tool.name, tool.by, tool.status) == ("weather", "application", "completed")
        assert '"sky":"clear"' in (tool.output or "")
        assert [role for role, _ in lines(observer.state)] == ["user", "assistant"]
        assert found.heard.types("tool") == ["conversation.item.create", "response.create"]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_is_noticed_when_the_browser_leaves(kind: str, tmp_path: Path) -> None:
    async with desk(kind, tmp_path) as found, calling(found) as browser:
        observer = found.part.observers.get(browser.path.rpartition("/")[2])
        await until(lambda: observer.state.observer == "attached")
        await browser.peer.close()
        await until(lambda: not observer.live)
        assert found.serving.application.ledger.calls() == 0


async def test_what_was_not_heard_is_told_apart(tmp_path: Path) -> None:
    async with desk("vivavoz", tmp_path) as found, calling(found) as browser:
        observer = found.part.observers.get(browser.path.rpartition("/")[2])
        await until(lambda: observer.state.observer == "attached")
        browser.ask("count to 60")
        await until(
            lambda: observer.state.turns_log and observer.state.turns_log[0].marks.first_audio_ms is not None
        )
        heard_from = time.monotonic()
        await until(lambda: time.monotonic() - heard_from > 0.7)
        browser.voice.say(sentence("stop it now please"))
        await until(lambda: "conversation.item.retrieved" in found.heard.types())
        spoken = next(line for line in observer.state.transcript if line.role == "assistant")
        assert spoken.heard
        assert spoken.text.startswith(spoken.heard)
        assert len(spoken.heard) < len(spoken.text)
        assert observer.state.turns_log[0].interrupted


async def test_a_call_that_began_with_a_token_is_found(tmp_path: Path) -> None:
    async with desk("vivavoz", tmp_path) as found:
        _, given, _ = await found.serving.token()

        async def answer(offer: str) -> str:
            headers = {"Authorization": f"Bearer {given['token']}", "Content-Type": "application/sdp"}
            async with found.serving.http.post(given["endpoint"], data=offer, headers=headers) as reply:
                assert reply.status == 201
                return await reply.text()

        peer = Peer(Peers(), Voice(), Listener())
        try:
            await peer.connect(answer)
            await until(lambda: found.part.observers.summaries() != b"[]")
            async with found.serving.http.get(f"{found.serving.url}/api/calls") as reply:
                (row,) = (await reply.json())["calls"]
            assert (row["origin"], row["profile"], row["filtered"]) == ("token", "default", "on")
            observer = found.part.observers.get(row["id"])
            await until(lambda: observer.state.observer == "attached")
        finally:
            await peer.close()
        await until(lambda: not observer.live)
