from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vivavoz.engines.chat import NO_OUTPUT, to_chat, to_chat_tool_choice, to_chat_tools
from vivavoz.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)


def user(text: str) -> Message:
    return Message(role="user", content=[InputText(text=text)])


def assistant(text: str) -> Message:
    return Message(role="assistant", content=[OutputText(text=text)])


def call(name: str, call_id: str, arguments: str = "{}", **more: Any) -> FunctionCall:
    return FunctionCall(name=name, call_id=call_id, arguments=arguments, **more)


def output(call_id: str, text: str) -> FunctionCallOutput:
    return FunctionCallOutput(call_id=call_id, output=text)


def test_instructions_lead_and_spoken_parts_stand_as_their_transcript() -> None:
    items: list[Item] = [
        Message(role="user", content=[InputAudio(transcript="Good morning.")]),
        Message(role="assistant", content=[OutputAudio(transcript="Hello.")]),
        Message(role="system", content=[InputText(text="Be brief.")]),
    ]
    assert to_chat(items, "You are kind.") == [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "Good morning."},
        {"role": "assistant", "content": "Hello."},
        {"role": "system", "content": "Be brief."},
    ]


def test_items_without_words_are_skipped() -> None:
    items: list[Item] = [
        Message(role="user", content=[InputAudio()]),
        Message(role="user", content=[InputAudio(transcript="  ")]),
        Message(role="assistant", content=[OutputAudio()]),
        Message(role="assistant", content=[]),
        user("Hi"),
    ]
    assert to_chat(items) == [{"role": "user", "content": "Hi"}]


def test_several_parts_of_one_item_join() -> None:
    item = Message(role="user", content=[InputText(text="One"), InputAudio(transcript="two")])
    assert to_chat([item]) == [{"role": "user", "content": "One\ntwo"}]


def test_images_become_parts_or_are_left_out() -> None:
    item = Message(
        role="user",
        content=[
            InputText(text="What is it?"),
            InputImage(image_url="data:image/png;base64,AA==", detail="low"),
        ],
    )
    assert to_chat([item])[0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
    ]
    assert to_chat([item], images=False) == [{"role": "user", "content": "What is it?"}]


def test_a_call_and_its_output() -> None:
    items: list[Item] = [user("Weather?"), call("weather", "c1", '{"city":"Porto"}'), output("c1", "sunny")]
    assert to_chat(items)[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Porto"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]


def test_calls_of_one_reply_join_its_message_and_outputs_follow_in_order_of_the_calls() -> None:
    items: list[Item] = [
        user("Both?"),
        assistant("Let me look."),
        call("a", "1"),
        call("b", "2"),
        output("2", "B"),
        user("And?"),
        output("1", "A"),
    ]
    messages = to_chat(items)
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[1]["content"] == "Let me look."
    assert [c["id"] for c in messages[1]["tool_calls"]] == ["1", "2"]
    assert [m["content"] for m in messages[2:4]] == ["A", "B"]


def test_unanswered_calls_get_a_placeholder_and_orphaned_or_cut_off_ones_go() -> None:
    items: list[Item] = [
        call("a", "1"),
        call("cut", "2", '{"x', status="incomplete"),
        output("gone", "nobody asked"),
    ]
    messages = to_chat(items)
    assert [m["role"] for m in messages] == ["assistant", "tool"]
    assert messages[1]["content"] == NO_OUTPUT


def test_a_call_without_call_id_is_known_by_its_id() -> None:
    item = FunctionCall(name="a", arguments="", id="item_7")
    messages = to_chat([item, output("item_7", "A")])
    assert messages[0]["tool_calls"][0]["id"] == "item_7"
    assert messages[0]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert messages[1]["content"] == "A"


def test_tools_nest_and_other_types_are_left_out() -> None:
    parameters = {"type": "object", "properties": {}}
    tools = [
        {"type": "function", "name": "a", "description": "does a", "parameters": parameters},
        {"type": "mcp", "server_label": "x"},
        {"type": "function", "name": "b"},
    ]
    assert to_chat_tools(tools) == [
        {"type": "function", "function": {"name": "a", "description": "does a", "parameters": parameters}},
        {"type": "function", "function": {"name": "b"}},
    ]


def test_tool_choice() -> None:
    assert to_chat_tool_choice("required") == "required"
    nested = {"type": "function", "function": {"name": "a"}}
    assert to_chat_tool_choice({"type": "function", "name": "a"}) == nested


ids = st.sampled_from(["c1", "c2", "c3"])
words = st.text(max_size=5)
any_item = st.one_of(
    st.builds(user, words),
    st.builds(assistant, words),
    st.builds(call, st.sampled_from(["f", "g"]), ids),
    st.builds(output, ids, words),
)


@given(st.lists(any_item, max_size=12))
def test_any_items_give_messages_that_a_strict_server_accepts(items: list[Item]) -> None:
    messages = to_chat(items, "S")
    json.dumps(messages)
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_calls.pop(0)
            continue
        assert not open_calls, "a call is not followed by its output"
        assert message["content"] or message.get("tool_calls")
        open_calls = [c["id"] for c in message.get("tool_calls", ())]
    assert not open_calls
