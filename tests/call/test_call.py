"""A call with scripted engines, in virtual time: session, jobs and transports together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.call.sounds import silence, voice
from tests.call.transports import FakeTransport
from tests.virtual_time import run_virtual
from vivavoz.call.registry import AtCapacity, CallRegistry, UnknownModel
from vivavoz.call.settings import CallSettings
from vivavoz.call.trace import TraceError, read, replay
from vivavoz.engines.ports import EngineError
from vivavoz.engines.scripted import Script, ScriptedEngines

Scene = Callable[[CallRegistry], Awaitable[None]]


def play(scene: Scene, settings: CallSettings | None = None, engines: object | None = None) -> None:
    async def main() -> None:
        chosen = engines or ScriptedEngines()
        await chosen.start()  # type: ignore[attr-defined]
        async with CallRegistry(lambda model: chosen, settings) as calls:  # type: ignore[arg-type, return-value]
            await scene(calls)

    run_virtual(main())


def text_turn(transport: FakeTransport, text: str) -> None:
    part = {"type": "input_text", "text": text}
    transport.say("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    transport.say("response.create")


def test_a_text_turn_is_answered_in_sound_and_words() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        text_turn(client, "hello")
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        assert client.types()[0] == "session.created"
        said = "".join(e["delta"] for e in client.events if e["type"].endswith("transcript.delta"))
        assert "hello" in said
        assert any(e["type"] == "response.output_audio.delta" and e["delta"] for e in client.events)
        assert done["response"]["usage"]["output_token_details"]["audio_tokens"] > 0

    play(scene)


def asked(words: int) -> dict[str, object]:
    part = {"type": "input_text", "text": " ".join(["hello"] * words)}
    return {"type": "message", "role": "user", "content": [part]}


@pytest.mark.parametrize(
    ("truncation", "read"),
    [
        ("auto", 16 + 30),
        ({"type": "retention_ratio", "retention_ratio": 0.7}, 16 + 20),
        (
            {"type": "retention_ratio", "retention_ratio": 1, "token_limits": {"post_instructions": 10}},
            16 + 10,
        ),
        ("disabled", 0),
    ],
)
def test_a_conversation_is_cut_to_the_window_of_its_model(truncation: object, read: int) -> None:
    """Of four messages of ten words, behind instructions of sixteen; fifty fit, and ten for the answer."""

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        session = {"type": "realtime", "output_modalities": ["text"], "truncation": truncation}
        client.say("session.update", session={**session, "instructions": " ".join(["be"] * 16)})
        for _ in range(4):
            client.say("conversation.item.create", item=asked(10))
        client.say("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["usage"]["input_tokens"] == read
        assert done["status"] == ("completed" if read else "failed")
        if not read:
            assert done["status_details"]["error"]["code"] == "context_length_exceeded"

    play(scene, engines=ScriptedEngines(Script.parse("window = { tokens = 60, output = 10 }")))


def test_a_conversation_that_a_model_refuses_is_cut_until_it_does_not() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        client.say("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        for _ in range(40):
            client.say("conversation.item.create", item=asked(10))
        client.say("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert 50 < done["usage"]["input_tokens"] < 150

    engines = ScriptedEngines(Script.parse("window = { tokens = 150, output = 10 }"))

    class Silent:
        """The same model, which says nothing of its window and does not count."""

        def reply(self, *given: object) -> object:
            return engines.llm.reply(*given)  # type: ignore[arg-type, union-attr]

    class Set:
        def __getattr__(self, name: str) -> object:
            return Silent() if name == "llm" else self if name == "for_call" else getattr(engines, name)

        def __call__(self) -> object:
            return self

    play(scene, engines=Set())


@pytest.mark.parametrize("kind", ["websocket", "webrtc"])
def test_a_spoken_turn_is_answered(kind: str) -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport(kind).join(calls.open(None, "gpt-realtime"))  # type: ignore[arg-type]
        client.say(
            "session.update",
            session={"type": "realtime", "audio": {"input": {"transcription": {"model": "any"}}}},
        )
        for chunk in (silence(300), voice(900), silence(600)):
            for start in range(0, len(chunk), 960):
                client.speak(chunk[start : start + 960])
                await asyncio.sleep(0.02)
        await client.until("response.done")
        types = client.types()
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
        ]
        assert [t for t in dict.fromkeys(types) if t in order] == order
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"]
        started = await client.until("input_audio_buffer.speech_started")
        assert abs(started["audio_start_ms"] - 0) <= 60
        stopped = await client.until("input_audio_buffer.speech_stopped")
        assert 1200 + 200 - 60 <= stopped["audio_end_ms"] <= 1200 + 200 + 120

    play(scene)


def test_noise_that_says_nothing_is_not_answered() -> None:
    class Deaf:
        def transcribe(self, audio, options):  # type: ignore[no-untyped-def]
            return self._nothing(audio)

        async def _nothing(self, audio):  # type: ignore[no-untyped-def]
            async for _ in audio:
                pass
            for nothing in ():
                yield nothing

    class Engines(ScriptedEngines):
        def for_call(self):  # type: ignore[no-untyped-def]
            view = super().for_call()
            view.stt = Deaf()
            return view

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        client.speak(silence(300) + voice(800) + silence(500))
        await client.until("conversation.item.done")
        await asyncio.sleep(5)
        assert "response.created" not in client.types()

    play(scene, engines=Engines())


def test_a_caller_who_barges_in_silences_the_answer() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport("webrtc").join(calls.open(None, "gpt-realtime"))
        text_turn(client, "word " * 100)
        await client.until("response.output_audio_transcript.delta")
        client.speak(voice(400))
        done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert client.flushes == 1
        assert client.queued_ms == 0
        count = len(client.types())
        await asyncio.sleep(0.1)
        assert "response.output_audio.delta" not in client.types()[count:]

    play(scene)


def test_an_engine_that_raises_fails_its_response_and_no_other_call() -> None:
    class Broken:
        async def reply(self, items, options):  # type: ignore[no-untyped-def]
            for name in ("boom",):
                raise EngineError("the model is gone", name)
            yield

    class Engines(ScriptedEngines):
        broken = 1

        def for_call(self):  # type: ignore[no-untyped-def]
            view = super().for_call()
            if self.broken:
                self.broken -= 1
                view.llm = Broken()
            return view

    async def scene(calls: CallRegistry) -> None:
        first = FakeTransport().join(calls.open(None, "gpt-realtime"))
        second = FakeTransport().join(calls.open(None, "gpt-realtime"))
        text_turn(first, "hello")
        text_turn(second, "hello")
        failed = (await first.until("response.done"))["response"]
        assert failed["status"] == "failed"
        assert failed["status_details"]["error"]["code"] == "boom"
        assert (await second.until("response.done"))["response"]["status"] == "completed"

    play(scene, engines=Engines())


def test_an_observer_sees_all_but_the_sound_and_ends_with_the_call() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime")
        client = FakeTransport("webrtc").join(call)
        observer = FakeTransport("sideband").join(call)
        text_turn(observer, "hello")
        await client.until("response.done")
        audio = "response.output_audio.delta"
        seen = [t for t in client.types() if t not in (audio, "session.created")]
        assert [t for t in observer.types() if t != "session.created"] == seen
        observer.say("nonsense", event_id="e1")
        error = await observer.until("error")
        assert error["error"]["event_id"] == "e1"
        assert "error" not in client.types()
        client.attachment.lost("gone")  # type: ignore[union-attr]
        await call.closed.wait()
        assert observer.closed == (1000, "The call has ended.")
        await asyncio.sleep(0.1)
        assert len(calls) == 0

    play(scene)


def test_a_session_ends_at_its_longest_duration() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        await asyncio.sleep(3601)
        assert client.closed == (1001, "Your session hit the maximum duration of 60 minutes.")

    play(scene)


def test_a_call_that_nobody_joins_ends() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime")
        await asyncio.sleep(31)
        assert call.closed.is_set()

    play(scene)


def test_the_registry_refuses_by_name() -> None:
    async def scene(calls: CallRegistry) -> None:
        calls.open(None, "gpt-realtime")
        with pytest.raises(AtCapacity):
            calls.open(None, "gpt-realtime")

    play(scene, CallSettings(sessions=1))

    async def unknown() -> None:
        def engines_for(model: str) -> ScriptedEngines:
            raise KeyError(model)

        async with CallRegistry(engines_for) as calls:
            with pytest.raises(UnknownModel):
                calls.open(None, "nothing")

    run_virtual(unknown())


def test_sound_is_not_made_far_ahead_of_the_callers_ear() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport("webrtc").join(calls.open(None, "gpt-realtime"))
        text_turn(client, "word " * 400)
        await asyncio.sleep(0)
        await client.until("response.output_audio_transcript.delta")
        await asyncio.sleep(0.001)
        assert client.queued_ms < 5_000 + 4_000

    play(scene)


def test_a_trace_replays_to_the_same_effects(tmp_path: Path) -> None:
    sent: list[dict[str, object]] = []

    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime")
        client = FakeTransport("webrtc").join(call)
        client.speak(silence(300) + voice(800) + silence(500))
        await client.until("response.done")
        sent.extend(client.events)
        call.hangup("over")
        await call.closed.wait()

    play(scene, CallSettings(trace_dir=tmp_path))
    (path,) = tmp_path.glob("*.trace")
    assert path.stat().st_mode & 0o077 == 0
    import json

    from vivavoz.session.effects import Send
    from vivavoz.wire.codec import encode

    effects = [effect for _, step in replay(path) for effect in step]
    replayed = [json.loads(encode(effect.event)) for effect in effects if isinstance(effect, Send)]
    assert replayed[: len(sent)] == sent


def test_a_file_that_is_no_trace_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.trace"
    path.write_bytes(b"\0\0\0\3abc")
    with pytest.raises(TraceError, match=r"x\.trace"):
        read(path)
