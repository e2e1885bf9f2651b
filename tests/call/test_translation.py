"""A call that translates, with scripted engines, in virtual time: session, jobs and transports together."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.call.sounds import silence, voice
from tests.call.transports import FakeTransport
from tests.session.translation import oracle
from tests.virtual_time import run_virtual
from vivavoz.call.registry import AtCapacity, CallRegistry, UnknownModel
from vivavoz.call.settings import CallSettings
from vivavoz.call.trace import read, replay
from vivavoz.engines.ports import Speech, Transcript, TranslationOptions
from vivavoz.engines.scripted import Script, ScriptedEngines
from vivavoz.media.ports import Played
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.translation import (
    SPOKEN_TAG,
    SourceTranscription,
    TranslationAudioPatch,
    TranslationInputPatch,
    TranslationOutputPatch,
    TranslationPatch,
)

Scene = Callable[[CallRegistry], Awaitable[None]]

TWO_PHRASES = Script.parse("""
[[turn]]
hears = "Good morning."
says = "Bom dia."
delays = { first_token_ms = 3000 }
[[turn]]
hears = "How are you?"
says = "Como vai?"
""")


def wishes(language: str = "pt", transcription: bool = True) -> TranslationPatch:
    heard = TranslationInputPatch(transcription=SourceTranscription(model="any") if transcription else None)
    output = TranslationOutputPatch(language=language)
    return TranslationPatch(audio=TranslationAudioPatch(input=heard, output=output))


def play(scene: Scene, script: Script = TWO_PHRASES, settings: CallSettings | None = None) -> None:
    async def main() -> None:
        async with CallRegistry(lambda _: ScriptedEngines(script), settings) as calls:
            await scene(calls)

    run_virtual(main())


async def speak(client: FakeTransport, pcm: bytes) -> None:
    """In frames of 200 ms, at the pace at which it is spoken."""
    for start in range(0, len(pcm), 9_600):
        if client.kind == "webrtc":
            client.speak(pcm[start : start + 9_600])
        else:
            sound = b64encode(pcm[start : start + 9_600]).decode()
            client.say("session.input_audio_buffer.append", audio=sound)
        await asyncio.sleep(0.2)


def words(client: FakeTransport, stream: str) -> str:
    return "".join(e["delta"] for e in client.events if e["type"] == f"session.{stream}_transcript.delta")


def sound(client: FakeTransport) -> bytes:
    deltas = [e["delta"] for e in client.events if e["type"] == "session.output_audio.delta"]
    return b"".join(b64decode(delta) for delta in deltas)


def test_what_is_said_is_said_in_another_language_while_the_speaker_goes_on() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open_translation(wishes(), "gpt-realtime-translate")
        client = FakeTransport().join(call)
        await speak(client, silence(400) + voice(800) + silence(800) + voice(800) + silence(800))
        await client.until("session.output_audio.delta")
        client.say("session.close")
        await client.until("session.closed")
        await call.closed.wait()
        assert client.closed is not None
        assert client.closed[0] == 1000
        # The first phrase takes long to translate, the second nearly nothing: told in order all the same.
        assert words(client, "input") == "Good morning. How are you?"
        assert words(client, "output") == "Bom dia. Como vai?"
        assert len(sound(client)) > 48 * 500
        assert client.types()[0] == "session.created"
        assert client.types()[-1] == "session.closed"
        for event in client.events:
            oracle.check_members(event)

    play(scene)


def test_the_words_of_a_phrase_are_told_while_another_is_spoken() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open_translation(wishes(), "any"))
        speaking = asyncio.create_task(speak(client, voice(900) + silence(600) + voice(8_000)))
        await client.until("session.output_audio.delta")
        assert not speaking.done()
        await speaking

    play(scene, Script.parse('[[turn]]\nhears = "One."\nsays = "Um."'))


def test_nobody_asked_for_the_callers_words() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open_translation(wishes(transcription=False), "any"))
        await speak(client, voice(900) + silence(600))
        client.say("session.close")
        await client.until("session.closed")
        assert words(client, "input") == ""
        assert words(client, "output") == "Bom dia."

    play(scene)


def test_a_track_is_translated_and_played_to_its_end_before_the_session_closes() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open_translation(wishes(), "any")
        client = FakeTransport("webrtc").join(call)
        await speak(client, voice(900) + silence(600))
        await client.until("session.output_transcript.delta")
        client.say("session.close")
        await client.until_ended(SPOKEN_TAG)
        assert "session.closed" not in client.types()
        assert client.attachment is not None
        client.attachment.played(Played(tag=SPOKEN_TAG, samples=1, complete=True))
        await client.until("session.closed")
        assert client.closed is None, "its goodbye must not overtake the event"
        await call.closed.wait()
        assert client.closed == (1000, "The session was closed.")

    play(scene)


def test_a_failed_phrase_is_told_and_the_next_one_is_translated() -> None:
    script = Script.parse("""
        [[turn]]
        hears = "One."
        says = "Um."
        fails = { stage = "tts", code = "voice_lost", message = "Gone." }
        [[turn]]
        hears = "Two."
        says = "Dois."
    """)

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open_translation(wishes(), "any"))
        await speak(client, voice(900) + silence(600) + voice(900) + silence(600))
        client.say("session.close")
        await client.until("session.closed")
        error = await client.until("error")
        assert error["error"]["code"] == "voice_lost"
        assert error["error"]["type"] == "server_error"
        assert words(client, "output") == "Dois."

    play(scene, script)


def test_what_the_session_is_fed_is_cleaned_where_it_asks_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open_translation(wishes(), "any")
        heard: list[Any] = []

        async def hear(pcm: bytes, wanted: Any) -> bytes:
            heard.append(wanted.type if wanted else None)
            return pcm

        monkeypatch.setattr(call._noise, "hear", hear)
        client = FakeTransport().join(call)
        await speak(client, silence(200))
        reduction = {"audio": {"input": {"noise_reduction": {"type": "far_field"}}}}
        client.say("session.update", session=reduction)
        await client.until("session.updated")
        await speak(client, silence(200))
        assert heard == [None, "far_field"]

    play(scene)


def test_the_longest_session_ends() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open_translation(None, "any")
        client = FakeTransport().join(call)
        await call.closed.wait()
        assert client.types()[-1] == "session.closed"
        assert client.closed is not None
        assert client.closed[0] == 1001

    play(scene, settings=CallSettings(session_seconds=60))


def test_a_call_is_refused_where_it_cannot_be() -> None:
    async def scene(calls: CallRegistry) -> None:
        with pytest.raises(ProtocolError) as caught:
            calls.open_translation(wishes("xx"), "any")
        assert caught.value.param == "audio.output.language"
        calls.open_translation(None, "any")
        with pytest.raises(AtCapacity):
            calls.open_translation(None, "any")

    play(scene, settings=CallSettings(sessions=1))


def test_an_unknown_model_and_engines_that_cannot_translate() -> None:
    class Mute(ScriptedEngines):
        translator = None  # type: ignore[assignment]

        def for_call(self) -> ScriptedEngines:
            return self

    async def main() -> None:
        async with CallRegistry({"mute": Mute()}.__getitem__) as calls:
            with pytest.raises(UnknownModel):
                calls.open_translation(None, "other")
            with pytest.raises(ProtocolError) as caught:
                calls.open_translation(None, "mute")
            assert caught.value.param == "model"

    run_virtual(main())


def test_a_model_that_translates_a_stream_gets_all_of_it() -> None:
    class Whole:
        continuous = True
        languages = ("fr", "de")

        def __init__(self) -> None:
            self.heard = 0
            self.wanted: list[str] = []

        async def translate(
            self, audio: AsyncIterator[bytes], options: TranslationOptions
        ) -> AsyncIterator[Transcript | Speech]:
            self.wanted.append(options.language)
            async for pcm in audio:
                self.heard += len(pcm)
                yield Transcript("x")
                yield Speech(pcm=bytes(480), text="y")

    whole = Whole()

    class Engines(ScriptedEngines):
        translator = whole  # type: ignore[assignment]

        def for_call(self) -> ScriptedEngines:
            return self

    async def main() -> None:
        # An engine that is fed may be silent for longer than one that has all it needs.
        settings = CallSettings(engine_seconds=5)
        async with CallRegistry(lambda _: Engines(), settings) as calls:
            client = FakeTransport().join(calls.open_translation(None, "any"))
            created = await client.until("session.created")
            assert created["session"]["audio"]["output"]["language"] == "fr"
            client.say("session.update", session={"audio": {"input": {"transcription": {"model": "m"}}}})
            await speak(client, silence(1_000))
            await asyncio.sleep(60)
            await speak(client, silence(500))
            client.say("session.update", session={"audio": {"output": {"language": "de"}}})
            await speak(client, silence(300))
            client.say("session.close")
            await client.until("session.closed")
            assert "error" not in client.types()
            assert whole.heard == 48 * 1_800
            assert whole.wanted == ["fr", "de"]
            # Seven whole frames and a half one; one whole frame and a half one.
            assert words(client, "input") == "x" * 8 + " " + "x" * 2
            at = [e["elapsed_ms"] for e in client.events if e["type"] == "session.input_transcript.delta"]
            assert at == sorted(at)
            assert at[0] == 200
            assert at[-1] == 1_800

    run_virtual(main())


def test_a_translated_call_is_traced_and_replays(tmp_path: Path) -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open_translation(wishes(), "any", session_id="sess_x")
        client = FakeTransport().join(call)
        await speak(client, voice(900) + silence(600))
        client.say("session.close")
        await call.closed.wait()

    play(scene, settings=CallSettings(trace_dir=tmp_path))
    (path,) = tmp_path.glob("*.trace")
    head, _ = read(path)
    assert head.session_id == "sess_x"
    sent = [type(effect).__name__ for _, done in replay(path) for effect in done]
    assert sent.count("HangUp") == 1
    assert "StartJob" in sent
