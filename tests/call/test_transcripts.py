"""What a recogniser says beside the words, from the engine to the client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.call.sounds import silence, voice
from tests.call.test_call import play
from tests.call.transports import FakeTransport
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.ports import SttOptions, Transcript
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.engines.scripted.script import Script
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.errors import ProtocolError

LOGPROBS = "item.input_audio_transcription.logprobs"
SCRIPT = """
[[turn]]
hears = "Hi. No."
logprobs = [-0.5, -2]
segments = [
  { speaker = "A", text = "Hi.", start = 0.0, end = 0.5 },
  { speaker = "B", text = "No.", start = 0.5, end = 1.0 },
]
"""
WANTED = {
    "type": "realtime",
    "include": [LOGPROBS],
    "audio": {"input": {"transcription": {"model": "any"}}},
}


def session() -> Any:
    event: Any = decode_client_event(json.dumps({"type": "session.update", "session": WANTED}))
    return event.session


class Unsure(ScriptedEngines):
    """Its recogniser does not say how sure it is."""

    def for_call(self) -> Any:
        view = super().for_call()

        class Stt:
            transcribe = view.stt.transcribe

        view.stt = Stt()
        return view


def test_log_probabilities_and_speakers_reach_the_client() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(session(), "gpt-realtime"))
        client.speak(silence(300) + voice(900) + silence(600))
        done = await client.until("conversation.item.input_audio_transcription.completed")
        sure = [(each["token"], each["logprob"], bytes(each["bytes"])) for each in done["logprobs"]]
        assert sure == [("Hi.", -0.5, b"Hi."), (" No.", -2, b" No.")]
        deltas = [e for e in client.events if e["type"].endswith("transcription.delta")]
        assert [each["token"] for delta in deltas for each in delta["logprobs"]] == ["Hi.", " No."]
        segments = [e for e in client.events if e["type"].endswith("transcription.segment")]
        assert [(e["speaker"], e["text"], e["start"], e["end"]) for e in segments] == [
            ("A", "Hi.", 0.0, 0.5),
            ("B", "No.", 0.5, 1.0),
        ]

    play(scene, engines=ScriptedEngines(Script.parse(SCRIPT)))


def test_a_session_may_not_begin_with_what_its_recogniser_cannot_give() -> None:
    async def scene(calls: CallRegistry) -> None:
        for begin in (calls.open, calls.check):
            with pytest.raises(ProtocolError) as refused:
                begin(session(), "gpt-realtime")
            assert (refused.value.code, refused.value.param) == ("invalid_value", "include")
        assert len(calls) == 0
        calls.check(None, "gpt-realtime")

    play(scene, engines=Unsure())


def test_what_is_said_of_the_transcription_reaches_the_recogniser() -> None:
    asked: list[SttOptions] = []

    class Engines(ScriptedEngines):
        def for_call(self) -> Any:
            view = super().for_call()

            class Stt:
                gives_logprobs = True

                async def transcribe(self, audio: Any, options: SttOptions) -> Any:
                    asked.append(options)
                    async for _ in audio:
                        pass
                    yield Transcript("Hi.", final=True)

            view.stt = Stt()
            return view

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(session(), "gpt-realtime"))
        transcription = {"model": "m", "language": "pt", "prompt": "names"}
        client.say(
            "session.update",
            session={"type": "realtime", "audio": {"input": {"transcription": transcription}}},
        )
        client.speak(silence(300) + voice(900) + silence(600))
        await client.until("conversation.item.input_audio_transcription.completed")

    play(scene, engines=Engines())
    assert asked == [SttOptions(model="m", language="pt", prompt="names", logprobs=True)]
