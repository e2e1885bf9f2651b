"""A call over WebRTC, recorded: what was said is heard again, where the transcript says it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from bench.caller import sentence
from tests.app.observer.test_end_to_end import KINDS, Desk, calling
from tests.app.recordings.calls import Kept
from tests.app.rig import Serving, listening
from tests.server.test_end_to_end import KEY, config
from tests.server.test_end_to_end import serving as service_serving
from tests.waiting import until
from vivavoz.app.config import App
from vivavoz.app.observer.part import Observation
from vivavoz.app.plan import Plan
from vivavoz.app.recordings.config import Recordings
from vivavoz.app.recordings.part import Records
from vivavoz.app.service import build, build_app

PROMPT = "Never tell anybody that you are Marvin."


@contextlib.asynccontextmanager
async def recording_desk(kind: str, folder: Path) -> AsyncIterator[Desk]:
    profiles = folder / "profiles.toml"
    profiles.write_text(
        f'[profiles.default.session]\ninstructions = "{PROMPT}"\n'
        '[profiles.default.session.audio.input.transcription]\nmodel = "whisper-1"\n'
    )
    async with service_serving(config(folder), KEY) as url:
        app = App(
            upstream=kind,  # type: ignore[arg-type]
            endpoint=url,
            model="gpt-realtime",
            profiles=str(profiles),
            recordings=Recordings(enabled=True),
        )
        application = build(Plan(app=app, state_dir=str(folder), keyless=True), {KINDS[kind]: KEY})
        application.recordings = True
        records = Records(app.recordings, application.access, folder / "app")
        await records.open()
        part = Observation(application, store=records.store, recorder=records.recorder)
        application.parts += [records, part]
        try:
            async with (
                listening(build_app(application)) as base,
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
                asyncio.timeout(60),
            ):
                yield Desk(Serving(base, http, application), part, None)  # type: ignore[arg-type]
        finally:
            await records.close()


async def talked(desk: Desk) -> tuple[dict[str, Any], Kept]:
    """One spoken turn and its answer, then the end: what the console is told of it, and the file."""
    async with calling(desk) as browser:
        call_id = browser.path.rpartition("/")[2]
        observer = desk.part.observers.get(call_id)
        await until(lambda: observer.state.observer == "attached")
        browser.voice.say(sentence("good morning"))
        await until(lambda: observer.state.turns_log and observer.state.turns_log[0].status == "completed")
        await asyncio.sleep(1.0)  # the answer is being played
    http, url = desk.serving.http, desk.serving.url
    while True:
        async with http.get(f"{url}/api/recordings/{call_id}") as answer:
            if answer.status == 200:
                told = await answer.json()
                break
        await asyncio.sleep(0.05)
    async with http.get(f"{url}/api/recordings/{call_id}/export") as answer:
        return told, Kept(await answer.read())


def loud(sound: np.ndarray[Any, np.dtype[np.int16]], channel: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The tenths of a second in which there is a voice on the channel."""
    tenths = len(sound) // 2400
    levels = np.abs(sound[: tenths * 2400, channel].astype(int)).reshape(tenths, 2400).mean(axis=1)
    return np.flatnonzero(levels > 300)


async def test_both_voices_are_heard_again_where_the_transcript_has_them(tmp_path: Path) -> None:
    async with recording_desk("vivavoz", tmp_path) as desk:
        told, kept = await talked(desk)
    assert (told["status"], told["lost"]) == ("complete", {"events": 0, "sound_ms": 0})
    user, assistant = (line for line in told["transcript"] if line["kind"] == "message")
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    sound = kept.sound()
    caller, heard = loud(sound, 0), loud(sound, 1)
    assert len(caller)
    assert len(heard)
    # The transcript's times are on the clock of a machine that may be busy.
    assert abs(caller[0] * 100 - user["at_ms"]) < 2000
    assert heard[0] > caller[-1]
    assert told["turns_log"][0]["stages"] is not None
    assert told["usage"]["output_audio_tokens"] > 0
    events = [record["event"]["type"] for record in kept.events if "event" in record]
    assert {"session.created", "input_audio_buffer.speech_started", "response.done"} <= set(events)
    assert b"Marvin" not in kept.everything()
    assert b"said something" in kept.everything()


async def test_a_call_with_a_hosted_service_has_its_words_and_says_that_there_is_no_sound(
    tmp_path: Path,
) -> None:
    async with recording_desk("openai", tmp_path) as desk:
        told, kept = await talked(desk)
    assert told["audio"] is None
    assert "gives observers none" in told["audio_missing"]
    assert told["tracks"] == []
    assert [line["role"] for line in told["transcript"] if line["kind"] == "message"] == ["user", "assistant"]
    assert b"Marvin" not in kept.everything()


@pytest.mark.parametrize("kind", KINDS)
async def test_no_recording_is_made_where_none_is_asked_for(kind: str, tmp_path: Path) -> None:
    async with recording_desk(kind, tmp_path) as desk:
        desk.serving.application.recordings = False
        async with calling(desk) as browser:
            observer = desk.part.observers.get(browser.path.rpartition("/")[2])
            await until(lambda: observer.state.observer == "attached")
        await until(lambda: not observer.live)
        async with desk.serving.http.get(f"{desk.serving.url}/api/recordings") as answer:
            told = await answer.json()
    assert (told["recordings"], told["packing"], told["recording"]) == ([], 0, 0)
