"""Beta clients in live calls with scripted engines, in virtual time, GA observers beside them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.call.sounds import silence, voice
from tests.call.transports import FakeTransport
from tests.virtual_time import run_virtual
from tests.wire import beta_oracle
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.scripted import Script, ScriptedEngines
from vivavoz.transports.dialect import Beta, deliver
from vivavoz.transports.port import TransportKind
from vivavoz.wire.options import AudioFormat
from vivavoz.wire.server_events import OutputAudioDelta, ServerEvent


class BetaTransport(FakeTransport):
    """A client that speaks the beta. What it is sent is held to the SDK's beta types."""

    def __init__(self, call: Any, kind: TransportKind = "websocket") -> None:
        super().__init__(kind)
        self.dialect = Beta(call.conversation_id)
        self.join(call)

    def send(self, event: ServerEvent, output_format: AudioFormat | None = None) -> None:
        if self.kind == "webrtc" and isinstance(event, OutputAudioDelta):
            super().send(event, output_format)
            self.events.pop()
            return
        self.events += [beta_oracle.check(message) for message in self.dialect.outgoing(event)]
        self._news.set()

    def say(self, type: str, **members: Any) -> None:
        assert self.attachment is not None
        deliver(self.dialect, json.dumps({"type": type, **members}), self.attachment)

    def text(self, words: str) -> None:
        part = {"type": "input_text", "text": words}
        self.say("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
        self.say("response.create")

    async def talk(self, *sounds: bytes) -> None:
        """At the pace of a microphone."""
        for sound in sounds:
            for start in range(0, len(sound), 960):
                self.speak(sound[start : start + 960])
                await asyncio.sleep(0.02)


def play(scene: Callable[[CallRegistry], Awaitable[None]], script: str = "") -> None:
    async def main() -> None:
        engines = ScriptedEngines(Script.parse(script) if script else None)
        await engines.start()
        async with CallRegistry(lambda model: engines) as calls:  # type: ignore[arg-type, return-value]
            await scene(calls)

    run_virtual(main())


def test_a_text_turn() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"))
        client.text("hello")
        done = (await client.until("response.done"))["response"]
        types = list(dict.fromkeys(client.types()))
        assert types[:2] == ["session.created", "conversation.created"]
        order = [
            "conversation.item.created",
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            "response.audio_transcript.delta",
            "response.audio.delta",
            "response.audio.done",
            "response.audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        assert sorted(types[2:]) == sorted(order)
        assert [types.index(name) for name in order if "delta" not in name] == sorted(
            types.index(name) for name in order if "delta" not in name
        )
        conversation = await client.until("conversation.created")
        assert done["conversation_id"] == conversation["conversation"]["id"]
        assert done["modalities"] == ["audio", "text"]
        assert (done["voice"], done["output_audio_format"], done["temperature"]) == ("alloy", "pcm16", 0.8)
        assert "hello" in done["output"][0]["content"][0]["transcript"]
        assert len({event["event_id"] for event in client.events}) == len(client.events)
        # The client's item and the answer: each is created once, the second one after the first.
        first, second = [event for event in client.events if event["type"] == "conversation.item.created"]
        assert second["previous_item_id"] == first["item"]["id"]

    play(scene)


def test_words_alone() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"))
        client.say("session.update", session={"modalities": ["text"], "temperature": 0.6})
        assert (await client.until("session.updated"))["session"]["modalities"] == ["text"]
        client.text("hello")
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["type"] == "text"
        said = "".join(event["delta"] for event in client.events if event["type"] == "response.text.delta")
        assert said == (await client.until("response.text.done"))["text"]
        assert done["output"][0]["content"][0]["text"] == said

    play(scene)


@pytest.mark.parametrize("kind", ["websocket", "webrtc"])
def test_a_spoken_turn(kind: TransportKind) -> None:
    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"), kind)
        client.say(
            "session.update",
            session={
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": {"silence_duration_ms": 300},
            },
        )
        updated = (await client.until("session.updated"))["session"]
        assert updated["turn_detection"]["silence_duration_ms"] == 300
        await client.talk(silence(300), voice(900), silence(600))
        await client.until("response.done")
        types = client.types()
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.created",
            "response.created",
            "response.output_item.added",
        ]
        assert [name for name in dict.fromkeys(types) if name in order] == order
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"]
        assert ("response.audio.delta" in types) == (kind == "websocket")

    play(scene)


def test_a_tool_call() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"))
        tool = {"name": "get_weather", "parameters": {"type": "object", "required": ["city"],
                "properties": {"city": {"type": "string", "enum": ["Lisbon"]}}}}  # fmt: skip
        client.say("session.update", session={"tools": [tool], "tool_choice": "get_weather"})
        assert (await client.until("session.updated"))["session"]["tool_choice"] == "get_weather"
        client.text("What is the weather?")
        arguments = await client.until("response.function_call_arguments.done")
        assert "name" not in arguments
        assert json.loads(arguments["arguments"]) == {"city": "Lisbon"}
        done = (await client.until("response.done"))["response"]
        [call] = [item for item in done["output"] if item["type"] == "function_call"]
        assert (call["name"], call["call_id"]) == ("get_weather", arguments["call_id"])
        client.say("session.update", session={"tool_choice": "auto"})
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        client.say("conversation.item.create", item=output)
        client.say("response.create")
        answer = (await client.until("response.done", 2))["response"]
        assert "sunny" in answer["output"][0]["content"][0]["transcript"]

    play(scene)


def test_an_interruption() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"))
        client.text("A long story, please.")
        delta = await client.until("response.audio.delta")
        await client.talk(voice(400), silence(600))
        cancelled = (await client.until("response.done"))["response"]
        assert cancelled["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        client.say("conversation.item.truncate", item_id=delta["item_id"], content_index=0, audio_end_ms=100)
        assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == 100
        assert (await client.until("response.done", 2))["response"]["status"] == "completed"
        client.say("conversation.item.retrieve", item_id=delta["item_id"])
        assert (await client.until("conversation.item.retrieved"))["item"]["content"][0]["type"] == "audio"

    play(
        scene,
        """
        [[turn]]
        when = "story"
        says = "Once upon a time there was a sea."
        repeat = 50
        delays = { token_ms = 50, tts_word_ms = 50 }
        """,
    )


def test_a_beta_browser_and_a_ga_observer_share_a_call() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime")
        browser = BetaTransport(call, "webrtc")
        observer = FakeTransport("sideband").join(call)
        old_observer = BetaTransport(call, "sideband")
        observer.say("session.update", session={"type": "realtime", "audio": {"output": {"voice": "sage"}}})
        assert (await browser.until("session.updated"))["session"]["voice"] == "sage"
        browser.say("session.update", session={"speed": 1.1, "modalities": ["audio", "text"]})
        ga = (await observer.until("session.updated", 2))["session"]
        assert ga["audio"]["output"]["speed"] == 1.1
        assert ga["output_modalities"] == ["audio"]
        browser.text("hello")
        await browser.until("response.done")
        await asyncio.sleep(0)
        assert "conversation.item.added" in observer.types()
        assert "response.output_audio_transcript.delta" in observer.types()
        greetings = ("session.created", "conversation.created")
        seen = [name for name in browser.types() if name not in greetings]
        assert [name for name in old_observer.types() if name not in greetings] == seen

    play(scene)


def test_errors_come_in_their_turn_and_in_the_betas_words() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"))
        client.say("session.update", event_id="e1", session={"instructions": "Be brief."})
        client.say("session.update", event_id="e2", session={"type": "realtime"})
        client.say("session.update", event_id="e3", session={"voice": "nobody"})
        client.say("session.update", event_id="e4", session={"speed": 9})
        client.say("session.update", event_id="e5", session={"output_modalities": ["text"]})
        client.say("nonsense", event_id="e6")
        client.say("session.update", event_id="e7", session={})
        await client.until("session.updated", 2)
        assert client.types()[2:] == ["session.updated", *["error"] * 5, "session.updated"]
        errors = [event["error"] for event in client.events if event["type"] == "error"]
        assert [(error["event_id"], error["code"], error["param"]) for error in errors] == [
            ("e2", "unknown_parameter", "session.type"),
            ("e3", "invalid_value", "session.voice"),
            ("e4", "invalid_value", "session.speed"),
            ("e5", "unknown_parameter", "session.output_modalities"),
            ("e6", "invalid_value", "type"),
        ]
        assert errors[0]["message"] == "Unknown parameter: 'session.type'."
        assert "audio.output" not in json.dumps(errors)

    play(scene)


def test_a_client_of_livekits_older_plugin_finds_what_it_waits_for() -> None:
    """Its first update in full, a history item after ``root``, then a reply asked for by metadata."""

    async def scene(calls: CallRegistry) -> None:
        client = BetaTransport(calls.open(None, "gpt-realtime"))
        client.say(
            "session.update",
            event_id="session_update_1",
            session={
                "model": "gpt-4o-realtime-preview",
                "voice": "alloy",
                "input_audio_format": "pcm16",
                "output_audio_format": "pcm16",
                "modalities": ["text", "audio"],
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                    "create_response": True,
                    "interrupt_response": True,
                },
                "input_audio_transcription": {"model": "gpt-4o-mini-transcribe"},
                "input_audio_noise_reduction": None,
                "temperature": 0.8,
                "tool_choice": "auto",
            },
        )
        history = {
            "id": "item_of_mine",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "We spoke of the sea."}],
        }
        client.say("conversation.item.create", event_id="chat_ctx_1", item=history, previous_item_id="root")
        client.say(
            "response.create",
            event_id="response_create_1",
            response={"instructions": None, "metadata": {"client_event_id": "response_create_1"}},
        )
        created = await client.until("conversation.item.created")
        assert created["item"]["id"] == "item_of_mine"
        assert created["item"]["content"] == [{"type": "text", "text": "We spoke of the sea."}]
        response = (await client.until("response.created"))["response"]
        assert response["metadata"] == {"client_event_id": "response_create_1"}
        await client.until("response.done")
        types = client.types()
        answer = types[types.index("response.created") :]
        # The order that its source states and relies on.
        assert list(dict.fromkeys(answer))[:4] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.created",
            "response.content_part.added",
        ]
        assert "error" not in types

    play(scene)
