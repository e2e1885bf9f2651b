"""What the scripted model answers, and how it streams it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from scripted_help import (
    OPTIONS,
    WEATHER,
    called,
    calls_of,
    collect,
    engines,
    spoken,
    text_of,
    until_failure,
    user,
)

from virtual_time import run_virtual
from vivavoz.engines.ports import EngineError, Finish, ReplyDelta, ReplyOptions, TextDelta, Usage
from vivavoz.wire.items import InputImage, Item, Message, OutputText


def reply(items: list[Item], script: str = "", options: ReplyOptions = OPTIONS) -> list[ReplyDelta]:
    llm = engines(script).llm
    assert llm is not None
    return run_virtual(collect(llm.reply(items, options)))


def with_tools(**changes: Any) -> ReplyOptions:
    return msgspec.structs.replace(OPTIONS, tools=[WEATHER], **changes)


def test_a_typed_turn_is_said_back() -> None:
    assert text_of(reply([user("hello there")])) == "You said: hello there"


def test_a_spoken_turn_is_said_back_from_its_transcript() -> None:
    assert text_of(reply([spoken("good morning")])) == "You said: good morning"


def test_the_answer_streams_word_by_word() -> None:
    deltas = [delta.text for delta in reply([user("a b")]) if isinstance(delta, TextDelta)]
    assert deltas == ["You", " said:", " a", " b"]


def test_before_anything_was_said_it_greets() -> None:
    assert text_of(reply([])).startswith("Hello.")


def test_a_turn_without_words_is_owned_up_to() -> None:
    assert text_of(reply([spoken(None)])) == "I did not hear anything."


def test_an_image_is_noticed() -> None:
    message = Message(role="user", content=[InputImage(image_url="data:image/png;base64,AA==")])
    assert text_of(reply([message])) == "You sent an image."


def test_it_counts_when_asked_to() -> None:
    assert text_of(reply([user("Please count to 5")])) == "1, 2, 3, 4, 5."


def test_the_output_of_a_tool_is_reported() -> None:
    assert text_of(reply([user("weather?"), *called("21 degrees")])) == "The result is: 21 degrees"


def test_a_tool_that_is_mentioned_is_called() -> None:
    deltas = reply([user("please get weather for me")], options=with_tools())
    assert [name for name, _ in calls_of(deltas)] == ["get_weather"]
    assert text_of(deltas) == ""


@pytest.mark.parametrize(
    "choice",
    ["required", {"type": "function", "name": "get_weather"}, {"function": {"name": "get_weather"}}],
)
def test_a_required_tool_is_called_with_arguments_that_fit_its_schema(choice: Any) -> None:
    [(name, arguments)] = calls_of(reply([user("hi")], options=with_tools(tool_choice=choice)))
    assert name == "get_weather"
    assert json.loads(arguments) == {"city": "example", "unit": "celsius"}


def test_tool_choice_none_calls_nothing() -> None:
    script = '[[turn]]\nsays = "No."\ncalls = [{ name = "get_weather" }]'
    deltas = reply([user("get_weather")], script, with_tools(tool_choice="none"))
    assert calls_of(deltas) == []
    assert text_of(deltas) == "No."


def test_turns_answer_in_order_however_often_they_are_asked() -> None:
    script = '[[turn]]\nsays = "one"\n[[turn]]\nsays = "two"'
    answer = Message(role="assistant", content=[OutputText(text="one")])
    assert text_of(reply([user("x")], script)) == "one"
    assert text_of(reply([user("x"), answer, user("y")], script)) == "two"
    assert text_of(reply([user("x"), answer, user("y")], script)) == "two"


def test_after_the_last_turn_the_defaults_answer() -> None:
    script = '[[turn]]\nsays = "one"'
    assert text_of(reply([user("x"), user("y")], script)) == "You said: y"


def test_when_answers_out_of_order_and_uses_up_no_turn() -> None:
    script = """
    [[turn]]
    says = "first"
    [[turn]]
    when = "help|aid"
    says = "What about {heard}?"
    """
    assert text_of(reply([user("HELP me")], script)) == "What about HELP me?"
    assert text_of(reply([user("help"), user("now")], script)) == "first"
    assert text_of(reply([user("a"), user("first aid")], script)) == "What about first aid?"


def test_words_that_a_turn_hears_find_it_though_messages_before_are_gone() -> None:
    script = """
    [[turn]]
    hears = "one"
    says = "1"
    [[turn]]
    hears = "two"
    says = "2"
    """
    assert text_of(reply([spoken("two")], script)) == "2"
    assert text_of(reply([spoken("one"), spoken("two")], script)) == "2"


def test_a_turn_that_was_not_understood_moves_nothing() -> None:
    script = """
    [[turn]]
    hears = ""
    [[turn]]
    says = "yes"
    """
    assert text_of(reply([spoken(None), user("hm")], script)) == "yes"


def test_a_turn_calls_tools_and_then_speaks() -> None:
    script = """
    [[turn]]
    says = "Let me look."
    calls = [
      { name = "get_weather", arguments = { city = "Porto" } },
      { name = "get_time", arguments = "{broken" },
    ]
    then = "It is {output} there."
    """
    first = reply([user("weather")], script)
    assert text_of(first) == "Let me look."
    assert calls_of(first) == [("get_weather", '{"city":"Porto"}'), ("get_time", "{broken")]
    assert text_of(reply([user("weather"), *called("sunny")], script)) == "It is sunny there."


def test_rounds_of_tools_are_answered_one_after_the_other() -> None:
    script = """
    [[turn]]
    calls = [{ name = "a" }]
    [[turn.then]]
    calls = [{ name = "b" }]
    [[turn.then]]
    says = "Done with {output}."
    """
    asked: list[Item] = [user("go")]
    assert calls_of(reply(asked, script)) == [("a", "{}")]
    once = [*asked, *called("1")]
    assert calls_of(reply(once, script)) == [("b", "{}")]
    twice = [*once, *called("2", "call_2")]
    assert text_of(reply(twice, script)) == "Done with 2."
    assert text_of(reply([*twice, *called("3", "call_3")], script)) == "The result is: 3"


def test_tokens_are_counted() -> None:
    options = msgspec.structs.replace(OPTIONS, instructions="be very kind")
    deltas = reply([user("one two")], options=options)
    assert deltas[-1] == Usage(input_tokens=5, output_tokens=4)


def test_max_output_tokens_cuts_the_answer_and_says_so() -> None:
    options = msgspec.structs.replace(OPTIONS, max_output_tokens=3)
    deltas = reply([user("count to 200")], options=options)
    assert text_of(deltas) == "1, 2, 3,"
    assert deltas[-2:] == [Usage(input_tokens=3, output_tokens=3), Finish("max_output_tokens")]


def test_an_answer_that_just_fits_is_not_cut() -> None:
    options = msgspec.structs.replace(OPTIONS, max_output_tokens=3)
    assert isinstance(reply([user("count to 3")], options=options)[-1], Usage)


def test_the_content_filter_can_end_an_answer() -> None:
    deltas = reply([user("x")], '[[turn]]\nsays = "No"\nfinish = "content_filter"')
    assert deltas[-1] == Finish("content_filter")


def test_long_answers_repeat() -> None:
    assert text_of(reply([user("x")], '[[turn]]\nsays = "la"\nrepeat = 3')) == "la la la"


def test_delays_run_on_the_loops_clock() -> None:
    script = """
    [defaults.delays]
    token_ms = 10
    [[turn]]
    says = "a b c"
    delays = { first_token_ms = 500 }
    """

    async def main() -> list[float]:
        llm = engines(script).llm
        assert llm is not None
        loop = asyncio.get_running_loop()
        return [
            loop.time() async for delta in llm.reply([user("x")], OPTIONS) if isinstance(delta, TextDelta)
        ]

    assert run_virtual(main()) == pytest.approx([0.5, 0.51, 0.52])


def test_a_failure_comes_after_its_tokens() -> None:
    script = """
    [[turn]]
    says = "a b c d"
    fails = { stage = "llm", after_tokens = 2, code = "model_overloaded", message = "Too busy." }
    """

    llm = engines(script).llm
    assert llm is not None
    came, error = run_virtual(until_failure(llm.reply([user("x")], OPTIONS)))
    assert text_of([piece for piece, _ in came]) == "a b"
    assert (error.code, error.message) == ("model_overloaded", "Too busy.")


def test_a_turn_that_only_fails_needs_no_words() -> None:
    with pytest.raises(EngineError, match="script"):
        reply([user("x")], '[[turn]]\nfails = { stage = "llm" }')


def test_a_closed_reply_stops_at_once() -> None:
    async def main() -> float:
        llm = engines("[defaults.delays]\ntoken_ms = 60000").llm
        assert llm is not None
        stream = llm.reply([user("x")], OPTIONS)
        task = asyncio.ensure_future(collect(stream))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(1.0)
