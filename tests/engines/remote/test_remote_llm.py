"""The remote language model against an endpoint that behaves, and several that do not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from fake_openai import FakeOpenAI, delta, usage

from vivavoz.engines.ports import (
    EngineError,
    Finish,
    ReplyDelta,
    ReplyOptions,
    TextDelta,
    ToolCallDelta,
    Usage,
    Window,
)
from vivavoz.engines.remote import RemoteLlm
from vivavoz.engines.spec import RemoteStage
from vivavoz.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
)

PROMPT = "The secret prompt."
OPTIONS = ReplyOptions(model="gpt-realtime", instructions=PROMPT)
KEY = "sk-very-secret"
ITEMS: list[Item] = [Message(role="user", content=[InputText(text="What I said.")])]
TOOL = {"type": "function", "name": "get_weather", "description": "d", "parameters": {"type": "object"}}


@asynccontextmanager
async def model(fake: FakeOpenAI, **changes: Any) -> AsyncIterator[RemoteLlm]:
    llm = RemoteLlm(RemoteStage(**{"base_url": fake.url, "model": "qwen", **changes}))
    try:
        yield llm
    finally:
        await llm.close()


async def reply(fake: FakeOpenAI, options: ReplyOptions = OPTIONS, **changes: Any) -> list[ReplyDelta]:
    async with model(fake, **changes) as llm:
        return [piece async for piece in llm.reply(ITEMS, options)]


async def failure(fake: FakeOpenAI, options: ReplyOptions = OPTIONS, **changes: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await reply(fake, options, **changes)
    error = caught.value
    for secret in (KEY, PROMPT, "What I said"):
        assert secret not in error.message
    assert error.__cause__ is None
    return error


async def test_a_reply_streams_and_counts(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(
        delta("", role="assistant"), delta("Good"), delta(" day", "stop"), usage(12, 2, 4)
    )
    assert await reply(fake) == [TextDelta("Good"), TextDelta(" day"), Usage(12, 2, 4)]
    [request] = fake.requests
    assert request["model"] == "qwen"
    assert request["stream"] is True
    assert request["stream_options"] == {"include_usage": True}
    assert request["messages"] == [
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": "What I said."},
    ]
    assert not {"tools", "tool_choice", "max_tokens"} & set(request)


async def test_the_key_comes_from_the_environment(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    fake.chat = fake.chunks(delta("x", "stop"))
    await reply(fake, api_key_env="MY_KEY")
    assert fake.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_without_a_key_none_is_sent(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fake.chat = fake.chunks(delta("x", "stop"))
    await reply(fake)
    assert not {"Authorization", "OpenAI-Organization"} & set(fake.headers[0])


async def test_a_missing_key_is_named_by_its_variable(fake: FakeOpenAI) -> None:
    error = await failure(fake, api_key_env="NO_SUCH_VARIABLE")
    assert error.code == "engine_key_missing"
    assert "NO_SUCH_VARIABLE" in error.message


async def test_a_missing_package_is_named(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    error = await failure(fake)
    assert error.code == "engine_package_missing"
    assert "pip install 'vivavoz[remote]'" in error.message


async def test_options_go_along(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("x", "length"))
    options = msgspec.structs.replace(
        OPTIONS, tools=[TOOL], tool_choice={"type": "function", "name": "get_weather"}, max_output_tokens=7
    )
    assert (await reply(fake, options))[-1] == Finish("max_output_tokens")
    [request] = fake.requests
    assert request["max_tokens"] == 7
    assert request["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert request["tools"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("sees", [True, False])
async def test_images_go_to_a_model_that_sees(fake: FakeOpenAI, sees: bool) -> None:
    fake.chat = fake.chunks(delta("x", "stop"))
    url = "data:image/png;base64,iVBORw0KGgo="
    shown: list[Any] = [InputText(text="What is it?"), InputImage(image_url=url, detail="low")]
    async with model(fake, images=sees) as llm:
        assert llm.sees is sees
        [_ async for _ in llm.reply([Message(role="user", content=shown)], OPTIONS)]
    content = fake.requests[0]["messages"][-1]["content"]
    image = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    assert content == ([{"type": "text", "text": "What is it?"}, image] if sees else "What is it?")


@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_tool_choice_goes_along(fake: FakeOpenAI, choice: Any) -> None:
    fake.chat = fake.chunks(delta("x", "stop"))
    await reply(fake, msgspec.structs.replace(OPTIONS, tools=[TOOL], tool_choice=choice))
    assert fake.requests[0]["tool_choice"] == choice


async def test_one_call_at_a_time_and_how_long_to_think_go_along(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("x", "stop"))
    await reply(fake, msgspec.structs.replace(OPTIONS, tools=[TOOL], parallel_tool_calls=False, effort="low"))
    await reply(fake, msgspec.structs.replace(OPTIONS, tools=[TOOL]))
    told, not_told = fake.requests
    assert (told["parallel_tool_calls"], told["reasoning_effort"]) == (False, "low")
    assert not {"parallel_tool_calls", "reasoning_effort"} & set(not_told)


async def test_tool_choice_none_offers_no_tools(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("x", "stop"))
    await reply(fake, msgspec.structs.replace(OPTIONS, tools=[TOOL], tool_choice="none"))
    assert "tools" not in fake.requests[0]


async def test_the_content_filter_is_reported(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("x"), delta(finish="content_filter"))
    assert (await reply(fake))[-1] == Finish("content_filter")


def call(index: int | None, identity: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"function": {"name": name, "arguments": arguments}, "type": "function"}
    if index is not None:
        body["index"] = index
    if identity is not None:
        body["id"] = identity
    return body


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [
                delta(tool_calls=[call(0, "a", "first", "")]),
                delta(tool_calls=[call(0, None, None, '{"x"')]),
                delta(tool_calls=[call(0, None, None, ":1}")]),
                delta(tool_calls=[call(1, "b", "second", "")]),
                delta(finish="tool_calls"),
            ],
            id="as OpenAI streams them",
        ),
        pytest.param(
            [
                delta(tool_calls=[call(0, "a", "first", '{"x":1}')]),
                delta(tool_calls=[call(0, "b", "second", "{}")]),
                delta(finish="tool_calls"),
            ],
            id="whole, all under index 0",
        ),
        pytest.param(
            [
                delta(tool_calls=[call(None, "a", "first", '{"x":1}'), call(None, "b", "second", "")]),
                delta(finish="tool_calls"),
            ],
            id="without an index",
        ),
    ],
)
async def test_calls_are_told_apart(fake: FakeOpenAI, chunks: list[dict[str, Any]]) -> None:
    fake.chat = fake.chunks(*chunks)
    calls: dict[int, list[str]] = {}
    for piece in await reply(fake, msgspec.structs.replace(OPTIONS, tools=[TOOL])):
        assert isinstance(piece, ToolCallDelta)
        entry = calls.setdefault(piece.index, ["", ""])
        entry[0] += piece.name
        entry[1] += piece.arguments
    assert calls == {0: ["first", '{"x":1}'], 1: ["second", "{}"]}


async def test_a_conversation_with_tools_and_speech_is_sent_as_chat(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("x", "stop"))
    items: list[Item] = [
        Message(role="user", content=[InputAudio(transcript="spoken")]),
        FunctionCall(name="f", arguments="{}", call_id="1"),
        FunctionCallOutput(call_id="1", output="out"),
    ]
    async with model(fake) as llm:
        assert [piece async for piece in llm.reply(items, OPTIONS)]
    roles = [message["role"] for message in fake.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]


async def test_an_empty_conversation_still_gets_a_reply(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("x", "stop"))
    async with model(fake) as llm:
        assert [piece async for piece in llm.reply([], ReplyOptions(model="m"))] == [TextDelta("x")]


async def test_thoughts_are_not_spoken(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("<thi"), delta("nk>hm"), delta(" hm</think>\n\nYes"), delta(".", "stop"))
    assert await reply(fake) == [TextDelta("Yes"), TextDelta(".")]


async def test_a_server_that_rejects_stream_options_is_asked_without(fake: FakeOpenAI) -> None:
    accept = fake.chunks(delta("x", "stop"))
    reject = fake.failing(400, "Unrecognized request argument: stream_options")

    async def picky(request: web.Request) -> web.StreamResponse:
        return await (reject if "stream_options" in fake.requests[-1] else accept)(request)

    fake.chat = picky
    async with model(fake) as llm:
        for _ in range(2):
            assert [piece async for piece in llm.reply(ITEMS, OPTIONS)] == [TextDelta("x")]
    assert ["stream_options" in request for request in fake.requests] == [True, False, False]


async def test_a_server_that_knows_only_the_newer_limit_gets_it(fake: FakeOpenAI) -> None:
    accept = fake.chunks(delta("x", "stop"))
    reject = fake.failing(400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.")

    async def picky(request: web.Request) -> web.StreamResponse:
        return await (reject if "max_tokens" in fake.requests[-1] else accept)(request)

    fake.chat = picky
    await reply(fake, msgspec.structs.replace(OPTIONS, max_output_tokens=5))
    assert fake.requests[-1]["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "engine_bad_request"),
        (401, "engine_auth_failed"),
        (403, "engine_auth_failed"),
        (404, "engine_model_not_found"),
        (422, "engine_bad_request"),
        (429, "engine_rate_limited"),
        (500, "engine_server_error"),
        (503, "engine_server_error"),
    ],
)
async def test_errors_have_stable_names_and_quote_nothing(
    fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    fake.chat = fake.failing(status, f"{KEY} is wrong for {PROMPT} What I said.")
    error = await failure(fake, api_key_env="MY_KEY")
    assert error.code == code
    assert f"127.0.0.1:{fake.port}" in error.message
    assert len(fake.requests) == 1  # a failure is told at once, not tried again


@pytest.mark.parametrize(
    "complaint",
    [
        "This model's maximum context length is 4097 tokens. However, you requested 4295 tokens",
        "the request exceeds the available context size. try increasing the context size",
        "prompt is too long: 9000 tokens > 8192 maximum",
        "Input is too long for requested model.",
    ],
)
async def test_what_is_too_long_for_the_model_has_a_name_of_its_own(fake: FakeOpenAI, complaint: str) -> None:
    fake.chat = fake.failing(400, f"{complaint} {PROMPT}")
    error = await failure(fake, msgspec.structs.replace(OPTIONS, max_output_tokens=5))
    assert error.code == "context_length_exceeded"
    assert PROMPT not in error.message
    assert len(fake.requests) == 1


async def test_the_window_is_what_the_set_says(fake: FakeOpenAI) -> None:
    async with model(fake) as llm:
        assert llm.window is None
    async with model(fake, context_tokens=32_000) as llm:
        assert llm.window == Window(32_000, 4_096)
    async with model(fake, context_tokens=8_000) as llm:
        assert llm.window == Window(8_000, 2_000)
    async with model(fake, context_tokens=8_000, output_tokens=100) as llm:
        assert llm.window == Window(8_000, 100)


async def test_nobody_there(fake: FakeOpenAI) -> None:
    error = await failure(fake, base_url="http://127.0.0.1:1/v1")
    assert error.code == "engine_unreachable"


@pytest.mark.parametrize("silent", [True, False])
async def test_a_stalled_server_is_given_up(fake: FakeOpenAI, silent: bool) -> None:
    first = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    fake.chat = fake.silent() if silent else fake.slow(first, "text/event-stream")
    error = await failure(fake, timeout_seconds=0.2)
    assert error.code == "engine_timeout"
    await asyncio.wait_for(fake.hung_up.wait(), 60)


@pytest.mark.parametrize(
    "chunk",
    [
        "{not json",
        '{"error": {"message": "The secret prompt. overflowed"}}',
        "[1, 2]",
        '"x"',
        '{"choices": ["x"]}',
    ],
)
async def test_a_malformed_stream_is_an_error(fake: FakeOpenAI, chunk: str) -> None:
    fake.chat = fake.chunks(delta("a"), chunk)
    assert (await failure(fake)).code == "engine_bad_response"


async def test_a_reply_that_breaks_off_is_an_error(fake: FakeOpenAI) -> None:
    fake.chat = fake.chunks(delta("a"), done=False)
    assert (await failure(fake)).code == "engine_bad_response"
    fake.chat = fake.broken_off(b'data: {"choices":[', "text/event-stream")
    assert (await failure(fake)).code == "engine_bad_response"


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_giving_up_closes_the_stream_at_once(fake: FakeOpenAI, how: str) -> None:
    first = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    fake.chat = fake.slow(first, "text/event-stream")
    async with model(fake) as llm:
        stream = llm.reply(ITEMS, OPTIONS)
        assert await anext(stream) == TextDelta("a")
        if how == "close":
            await stream.aclose()
        else:
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await asyncio.wait_for(fake.hung_up.wait(), 60)


async def test_giving_up_before_the_answer_begins_closes_the_request(fake: FakeOpenAI) -> None:
    fake.chat = fake.silent()
    async with model(fake) as llm:
        waiting = asyncio.ensure_future(anext(llm.reply(ITEMS, OPTIONS)))
        await fake.started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(fake.hung_up.wait(), 60)
