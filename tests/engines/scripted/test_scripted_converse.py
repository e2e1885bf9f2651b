"""The other plan: one scripted model that hears and speaks."""

from __future__ import annotations

import msgspec
import pytest
from scripted_help import OPTIONS, WEATHER, calls_of, collect, engines, silence, speech, spoken, user

from virtual_time import run_virtual
from vivavoz.engines.ports import EngineError, Finish, ReplyOptions, Speech, SpeechOptions, Transcript, Usage
from vivavoz.wire.items import Item

CONVERSE = 'plan = "converse"\n'


def converse(
    script: str, items: list[Item], audio: bytes = b"", options: ReplyOptions = OPTIONS
) -> list[object]:
    model = engines(CONVERSE + script).speech_to_speech
    assert model is not None
    return run_virtual(collect(model.converse(items, audio, options, SpeechOptions())))


def said(parts: list[object]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Speech))


def test_the_plan_has_one_model_instead_of_three() -> None:
    one = engines(CONVERSE)
    assert (one.stt, one.llm, one.tts) == (None, None, None)
    assert [row.task for row in one.status()] == ["vad", "turn", "speech_to_speech"]
    assert engines().speech_to_speech is None
    assert [row.task for row in engines().status()] == ["vad", "turn", "stt", "llm", "tts"]


def test_a_spoken_turn_is_transcribed_and_answered_in_sound() -> None:
    parts = converse('[[turn]]\nhears = "good day"\nsays = "You too."', [spoken(None)], speech())
    assert Transcript("good day", final=True) in parts
    assert said(parts) == "You too."
    assert all(part.pcm for part in parts if isinstance(part, Speech))
    assert parts[-1] == Usage(input_tokens=0, output_tokens=2)


def test_a_typed_turn_is_answered_in_sound() -> None:
    parts = converse("", [user("hi")])
    assert said(parts) == "You said: hi"
    assert not any(isinstance(part, Transcript) for part in parts)


def test_silence_is_not_a_turn() -> None:
    parts = converse('[[turn]]\nhears = "one"', [spoken(None)], silence())
    assert parts[0] == Transcript("", final=True)
    assert said(parts) == "I did not hear anything."


def test_it_calls_tools() -> None:
    options = msgspec.structs.replace(OPTIONS, tools=[WEATHER], tool_choice="required")
    assert [name for name, _ in calls_of(converse("", [user("x")], options=options))] == ["get_weather"]


def test_words_are_spoken_before_the_answer_is_cut() -> None:
    options = msgspec.structs.replace(OPTIONS, max_output_tokens=2)
    parts = converse("", [user("count to 9")], options=options)
    assert said(parts) == "1, 2,"
    assert parts[-1] == Finish("max_output_tokens")


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
def test_each_stage_can_fail(stage: str) -> None:
    script = f'[[turn]]\nhears = "a"\nsays = "b c d"\nfails = {{ stage = "{stage}", after_tokens = 1 }}'
    with pytest.raises(EngineError):
        converse(script, [spoken(None)], speech())
