"""Python functions as tools: how they are described, checked, called, and answered in a call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.app.observer import some_tools
from tests.app.observer.service import HOSTED, OURS, Call
from tests.app.observer.test_observing import QUICK, World, attached, started, world
from tests.waiting import until
from vivavoz.app.observer import toolrunner
from vivavoz.app.observer.observers import Rules
from vivavoz.app.observer.tools import Tool, Toolbox, ToolContext, ToolFailed, ToolsError

CONTEXT = ToolContext(call_id="rtc_1", profile="default", user="ana")
MODULE = "tests.app.observer.some_tools"


def tool(name: str) -> Tool:
    return Tool(getattr(some_tools, name))


def test_a_tool_is_described_by_its_function() -> None:
    assert tool("weather").definition == {
        "type": "function",
        "name": "weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name"},
                "unit": {"enum": ["c", "f"], "default": "c"},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    assert tool("untyped").definition["description"] == ""
    assert list(tool("whose").parameters["properties"]) == ["loud"]
    assert "Guest" in tool("register").parameters["$defs"]


def test_arguments_are_checked() -> None:
    assert tool("weather").arguments('{"city":"Porto"}', CONTEXT) == {"city": "Porto", "unit": "c"}
    assert tool("whose").arguments("", CONTEXT) == {"loud": False, "context": CONTEXT}
    assert tool("register").arguments('{"guests":[{"name":"Eva"}]}', CONTEXT)["guests"] == [
        some_tools.Guest(name="Eva")
    ]
    for given, complaint in (
        ('{"city": 5}', "city"),
        ("{}", "city"),
        ('{"city":"Porto","unit":"k"}', "unit"),
        ('{"city":"Porto","more":1}', "more"),
        ("{city", "JSON"),
        ("[]", "object"),
    ):
        with pytest.raises(ToolFailed, match=complaint):
            tool("weather").arguments(given, CONTEXT)


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("no_colon", "expected 'package.module:function'"),
        ("no.such.module:x", "cannot be imported"),
        (f"{MODULE}:absent", "has no 'absent'"),
        (f"{MODULE}:NOT_A_FUNCTION", "is no function"),
        (f"{MODULE}:positional", "parameter 'one' cannot be given by name"),
        (f"{MODULE}:unreadable", "no JSON schema"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_by_name(named: str, complaint: str) -> None:
    with pytest.raises(ToolsError, match=complaint) as refused:
        Toolbox.load([named])
    assert named in str(refused.value)


def test_two_tools_have_two_names() -> None:
    with pytest.raises(ToolsError, match="named twice"):
        Toolbox.load([f"{MODULE}:weather", f"{MODULE}:weather"])


# ------------------------------------------------------------------------------------------- in calls


class Talk:
    """A call whose model asks for tools. The service adds what observers create, and begins responses."""

    def __init__(self, told: World, call: Call) -> None:
        self.told = told
        self.call = call
        self.answers = True
        call.answer = self._answer
        self._responses = 0

    def _answer(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] == "conversation.item.create":
            item = {"id": f"item_{len(self.call.events)}", "status": "completed", **event["item"]}
            return [{"type": "conversation.item.added", "previous_item_id": None, "item": item}]
        if event["type"] == "response.create" and self.answers:
            return [self.created("resp_next")]
        return []

    def created(self, response_id: str) -> dict[str, Any]:
        return {"type": "response.created", "response": {"id": response_id, "conversation_id": "conv"}}

    async def asks(
        self,
        *calls: tuple[str, str, str],
        response_id: str = "resp_1",
        status: str = "completed",
        **members: Any,
    ) -> None:
        """A whole response of function calls: (call id, name, arguments)."""
        response = {"id": response_id, "conversation_id": "conv", **members}
        items = [
            {
                "id": f"item_{call_id}",
                "type": "function_call",
                "call_id": call_id,
                "name": name,
                "arguments": arguments,
                "status": "completed",
            }
            for call_id, name, arguments in calls
        ]
        await self.call.tell({"type": "response.created", "response": response})
        for item in items:
            await self.call.tell(
                {
                    "type": "response.output_item.added",
                    "response_id": response_id,
                    "item": {**item, "arguments": ""},
                },
                {
                    "type": "conversation.item.added",
                    "previous_item_id": None,
                    "item": {**item, "arguments": ""},
                },
                {"type": "response.output_item.done", "response_id": response_id, "item": item},
            )
        await self.call.tell(
            {"type": "response.done", "response": {**response, "status": status, "output": items}}
        )

    async def done(self, response_id: str) -> None:
        response = {"id": response_id, "conversation_id": "conv", "status": "completed", "output": []}
        await self.call.tell({"type": "response.done", "response": response})

    async def event(self, kind: str, **members: Any) -> None:
        await self.call.tell({"type": kind, **members})

    @property
    def outputs(self) -> dict[str, str]:
        items = [event["item"] for event in self.call.of("conversation.item.create")]
        return {item["call_id"]: item["output"] for item in items}

    @property
    def requests(self) -> int:
        return len(self.call.of("response.create"))


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    names = (
        "weather",
        "whose",
        "slow_coroutine",
        "slow_thread",
        "refuses",
        "breaks",
        "exits",
        "cancels",
        "no_json",
        "long",
    )
    box = Toolbox(tool(name) for name in names)
    timing = msgspec.structs.replace(QUICK, tool=some_tools.SLOW_S / 3)
    async with world(HOSTED, timing, rules=Rules(tools=lambda _: box)) as told, told.running() as observers:
        call = told.service.call()
        await attached(started(observers))
        yield Talk(told, call)


async def test_a_tool_is_answered_and_the_model_goes_on(talk: Talk) -> None:
    await talk.asks(("c1", "weather", '{"city":"Porto"}'))
    await until(lambda: talk.requests == 1)
    assert json.loads(talk.outputs["c1"]) == {"city": "Porto", "unit": "c", "sky": "clear"}
    assert [event["type"] for event in talk.call.got] == ["conversation.item.create", "response.create"]
    assert talk.told.heard.types("tool") == ["conversation.item.create", "response.create"]


async def test_several_calls_make_one_response(talk: Talk) -> None:
    await talk.asks(
        ("c1", "weather", '{"city":"Porto"}'), ("c2", "whose", '{"loud":true}'), ("c3", "whose", "{}")
    )
    await until(lambda: talk.requests == 1)
    assert (talk.outputs["c2"], talk.outputs["c3"]) == ("ANA", "ana")
    await talk.done("resp_next")
    await talk.asks(("c4", "whose", "{}"), response_id="resp_4")
    await until(lambda: talk.requests == 2)
    assert len(talk.outputs) == 4


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("weather", '{"city":5}', "The arguments do not fit: Invalid type for 'city'"),
        ("slow_coroutine", "{}", "longer than 0.1 s"),
        ("slow_thread", "{}", "longer than 0.1 s"),
        ("refuses", "{}", "There is no table left."),
        ("breaks", "{}", "The tool failed."),
        ("exits", "{}", "The tool failed."),
        ("cancels", "{}", "The tool failed."),
        ("no_json", "{}", "which is no JSON"),
        ("long", "{}", "more than"),
    ],
)
async def test_a_failure_is_told_to_the_model(talk: Talk, name: str, arguments: str, complaint: str) -> None:
    await talk.asks(("c1", name, arguments))
    await until(lambda: talk.requests == 1)
    assert complaint in json.loads(talk.outputs["c1"])["error"]
    assert "12345" not in talk.outputs["c1"]
    assert talk.told.heard.closed_calls == []


async def test_a_tool_of_another_name_is_the_clients(talk: Talk) -> None:
    await talk.asks(("c1", "open_the_door", "{}"))
    await talk.asks(("c2", "whose", "{}"), response_id="resp_2")
    await until(lambda: talk.requests == 1)
    assert list(talk.outputs) == ["c2"]


async def test_the_model_goes_on_when_the_clients_call_is_answered_too(talk: Talk) -> None:
    """The client, which answers last, asks for the response itself."""
    await talk.asks(("c1", "open_the_door", "{}"), ("c2", "whose", "{}"))
    await until(lambda: "c2" in talk.outputs)
    output = {"id": "item_o", "type": "function_call_output", "call_id": "c1", "output": "open"}
    await talk.event("conversation.item.added", previous_item_id=None, item=output)
    await talk.call.tell(talk.created("resp_2"))
    await talk.done("resp_2")
    await talk.asks(("c3", "whose", "{}"), response_id="resp_3")
    await until(lambda: talk.requests == 1)
    assert "c1" not in talk.outputs


async def test_where_the_client_was_faster_the_model_is_asked_for_what_it_has_not_read(talk: Talk) -> None:
    await talk.asks(("c1", "open_the_door", "{}"), ("c2", "slow_coroutine", "{}"))
    output = {"id": "item_o", "type": "function_call_output", "call_id": "c1", "output": "open"}
    await talk.event("conversation.item.added", previous_item_id=None, item=output)
    await talk.call.tell(talk.created("resp_2"))
    await until(lambda: "c2" in talk.outputs)
    assert talk.requests == 0
    await talk.done("resp_2")
    await until(lambda: talk.requests == 1)


async def test_a_cancelled_response_runs_no_tool_and_leaves_no_question_open(talk: Talk) -> None:
    await talk.asks(("c1", "weather", '{"city":"Porto"}'), status="cancelled")
    await until(lambda: "c1" in talk.outputs)
    assert "cancelled" in json.loads(talk.outputs["c1"])["error"]
    await talk.asks(("c2", "whose", "{}"), response_id="resp_2")
    await until(lambda: talk.requests == 1)


async def test_a_response_out_of_band_is_left_alone(talk: Talk) -> None:
    await talk.asks(("c1", "weather", '{"city":"Porto"}'), conversation_id=None)
    await talk.asks(("c2", "whose", "{}"), response_id="resp_2")
    await until(lambda: talk.requests == 1)
    assert list(talk.outputs) == ["c2"]


async def test_a_turn_that_the_caller_takes_meanwhile_reads_the_output(talk: Talk) -> None:
    talk.answers = False
    await talk.event("input_audio_buffer.speech_started", item_id="item_s", audio_start_ms=0)
    await talk.asks(("c1", "whose", "{}"))
    await until(lambda: "c1" in talk.outputs)
    await talk.event("input_audio_buffer.speech_stopped", item_id="item_s", audio_end_ms=0)
    await talk.call.tell(talk.created("resp_2"))
    await talk.done("resp_2")
    await talk.asks(("c2", "whose", "{}"), response_id="resp_3")
    await until(lambda: talk.requests == 1)


async def test_speech_that_nobody_answers_does_not_hold_the_tools_words_back(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolrunner, "AFTER_SPEECH_S", 0.02)
    await talk.event("input_audio_buffer.speech_started", item_id="item_s", audio_start_ms=0)
    await talk.asks(("c1", "whose", "{}"))
    await until(lambda: "c1" in talk.outputs)
    await talk.event("input_audio_buffer.speech_stopped", item_id="item_s", audio_end_ms=0)
    await until(lambda: talk.requests == 1)


async def test_a_response_that_was_faster_is_waited_for(talk: Talk) -> None:
    talk.answers = False
    await talk.asks(("c1", "whose", "{}"))
    await until(lambda: talk.requests == 1)
    error = {
        "type": "invalid_request_error",
        "code": "conversation_already_has_active_response",
        "message": "busy",
        "event_id": talk.call.of("response.create")[0]["event_id"],
    }
    await talk.event("error", error=error)
    await talk.done("resp_faster")
    await until(lambda: talk.requests == 2)


async def test_a_response_told_twice_is_answered_once(talk: Talk) -> None:
    await talk.asks(("c1", "whose", "{}"))
    await until(lambda: talk.requests == 1)
    await talk.asks(("c1", "whose", "{}"))
    await talk.asks(("c2", "whose", "{}"), response_id="resp_2")
    await until(lambda: "c2" in talk.outputs)
    assert len(talk.call.of("conversation.item.create")) == 2


async def test_what_went_on_before_a_gap_holds_nothing_back(talk: Talk) -> None:
    """The end of a response, or of speech, may be among what was missed."""
    await talk.call.tell(talk.created("resp_0"))
    await talk.event("input_audio_buffer.speech_started", item_id="item_s", audio_start_ms=0)
    talk.told.service.cut(talk.call)
    await until(lambda: len(talk.call.asked) == 2 and talk.call.sockets)
    await talk.asks(("c1", "whose", "{}"))
    await until(lambda: talk.requests == 1)


async def test_what_somebody_else_answered_is_left_alone(talk: Talk) -> None:
    item = {"id": "item_c", "type": "function_call", "call_id": "c1", "name": "whose", "arguments": "{}"}
    await talk.event("conversation.item.added", previous_item_id=None, item=item)
    output = {"id": "item_o", "type": "function_call_output", "call_id": "c1", "output": "Eve"}
    await talk.event("conversation.item.added", previous_item_id=None, item=output)
    await talk.asks(("c1", "whose", "{}"))
    await talk.asks(("c2", "whose", "{}"), response_id="resp_2")
    await until(lambda: talk.requests == 1)
    assert list(talk.outputs) == ["c2"]


async def test_threads_that_never_return_take_no_others_place() -> None:
    threads = toolrunner.Threads(1)
    first = asyncio.ensure_future(threads.run(lambda: time.sleep(0.2)))
    await asyncio.sleep(0)
    with pytest.raises(ToolFailed, match="Too many"):
        await threads.run(lambda: 1)
    await first
    await until(lambda: threads._busy == 0)
    assert await threads.run(lambda: 7) == 7
    threads.close()


async def test_after_a_restart_what_may_have_run_is_not_run_again() -> None:
    ran: list[str] = []

    async def order() -> str:
        ran.append("order")
        await asyncio.sleep(60)
        return "done"

    rules = Rules(tools=lambda _: Toolbox([Tool(order)]))
    async with world(OURS, rules=rules) as told:
        call = told.service.call()
        talk = Talk(told, call)
        async with told.running() as observers:
            await attached(started(observers))
            await talk.asks(("c1", "order", "{}"))
            await until(lambda: ran)
        async with told.running() as observers:
            await until(lambda: talk.requests == 1)
            assert "may have run" in json.loads(talk.outputs["c1"])["error"]
            assert ran == ["order"]
            assert [(each.name, each.status) for each in observers.get("rtc_1").state.tools] == [
                ("order", "failed")
            ]
