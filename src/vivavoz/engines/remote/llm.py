"""A language model behind ``/chat/completions``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from vivavoz.engines.chat import to_chat, to_chat_tool_choice, to_chat_tools
from vivavoz.engines.ports import Finish, ReplyDelta, ReplyOptions, TextDelta, ToolCallDelta, Usage, Window
from vivavoz.engines.remote.client import Endpoint
from vivavoz.engines.remote.thoughts import ThoughtFilter
from vivavoz.engines.spec import RemoteStage
from vivavoz.wire.items import Item

_OUTPUT = 4_096
_CONTEXT = re.compile(
    "context.?(length|window|size)|prompt is too long|input is too long|too many (input )?tokens",
    re.IGNORECASE,
)


class RemoteLlm:
    """Streams a reply; tools and usage included where the server has them.

    ``max_output_tokens`` goes out as ``max_tokens``. A server that knows only the newer
    ``max_completion_tokens``, or rejects ``stream_options``, is asked again without, once, and remembered.
    Closing the generator closes the HTTP stream.
    """

    def __init__(self, stage: RemoteStage) -> None:
        self._endpoint = Endpoint(stage, "language model")
        self.sees = stage.images
        self.reasons = stage.reasoning
        self.window = _window(stage)
        self._asks_usage = True
        self._limit_name = "max_tokens"

    async def close(self) -> None:
        await self._endpoint.close()

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        endpoint = self._endpoint
        request: dict[str, Any] = {"messages": to_chat(items, options.instructions, images=self.sees)}
        if not request["messages"]:
            # Servers insist on a message; a response may be asked for before there is one.
            request["messages"] = [{"role": "user", "content": "Hello."}]
        tools = to_chat_tools(options.tools)
        if tools and options.tool_choice != "none":
            request["tools"] = tools
            request["tool_choice"] = to_chat_tool_choice(options.tool_choice)
            if not options.parallel_tool_calls:
                request["parallel_tool_calls"] = False
        if options.effort is not None:
            request["reasoning_effort"] = options.effort
        with endpoint.failures():
            stream = await self._open(request, options.max_output_tokens)
            reading = _Reading(endpoint)
            async with stream:
                with endpoint.failures(reading=True):
                    while True:
                        async with asyncio.timeout(endpoint.timeout):
                            chunk = await anext(stream, None)
                        if chunk is None:
                            break
                        for delta in reading.read(chunk):
                            yield delta
        if not reading.finished:
            raise endpoint.broken_off()
        for delta in reading.finish():
            yield delta

    async def _open(self, request: dict[str, Any], limit: int | None) -> Any:
        create: Any = self._endpoint.client.chat.completions.create
        openai = self._endpoint.package
        while True:
            extra: dict[str, Any] = {"extra_headers": self._endpoint.headers}
            if self._asks_usage:
                extra["stream_options"] = {"include_usage": True}
            if limit is not None:
                extra[self._limit_name] = limit
            try:
                async with asyncio.timeout(self._endpoint.timeout):
                    return await create(model=self._endpoint.model, stream=True, **request, **extra)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if _too_long(error):
                    what = "found the conversation too long"
                    raise self._endpoint.error(what, "context_length_exceeded") from None
                if not self._yields_to(str(error), limit):
                    raise

    def _yields_to(self, complaint: str, limit: int | None) -> bool:
        """Leave out what the server complains of; False where there is nothing left to leave out."""
        if limit is not None and self._limit_name == "max_tokens" and "max_completion_tokens" in complaint:
            self._limit_name = "max_completion_tokens"
            return True
        if self._asks_usage and ("stream_options" in complaint or "include_usage" in complaint):
            self._asks_usage = False
            return True
        return False


def _window(stage: RemoteStage) -> Window | None:
    context = stage.context_tokens
    if context is None:
        return None
    return Window(tokens=context, output=stage.output_tokens or min(_OUTPUT, context // 4))


def _too_long(error: Any) -> bool:
    """Servers agree on no code for it."""
    return error.code == "context_length_exceeded" or _CONTEXT.search(str(error)) is not None


class _Reading:
    """Turns the chunks of one completion into deltas. Tolerates what servers do differently: calls without
    an index or all under index 0, whole arguments as an object, usage with or after the last chunk."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.finished = False
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._thoughts = ThoughtFilter()
        self._calls: list[tuple[Any, str | None]] = []
        """The server's index and id of each call; ours is the place in this list."""
        self._has_arguments: set[int] = set()

    def read(self, chunk: Any) -> list[ReplyDelta]:
        try:
            return self._read(chunk)
        except (AttributeError, TypeError, ValueError):
            # The client does not check the shape of what it parses.
            raise self._endpoint.not_an_answer() from None

    def _read(self, chunk: Any) -> list[ReplyDelta]:
        if getattr(chunk, "usage", None):
            self._usage = _usage(chunk.usage)
        deltas: list[ReplyDelta] = []
        for choice in (getattr(chunk, "choices", None) or [])[:1]:
            delta = choice.delta
            text = getattr(delta, "content", None) or getattr(delta, "refusal", None) or ""
            if spoken := self._thoughts.feed(text):
                deltas.append(TextDelta(spoken))
            deltas += [self._call(call) for call in getattr(delta, "tool_calls", None) or []]
            if choice.finish_reason:
                self.finished = True
                self._reason = choice.finish_reason
        return deltas

    def finish(self) -> list[ReplyDelta]:
        deltas: list[ReplyDelta] = []
        if rest := self._thoughts.finish():
            deltas.append(TextDelta(rest))
        deltas += [
            ToolCallDelta(index, "", "{}")
            for index in range(len(self._calls))
            if index not in self._has_arguments
        ]
        if self._usage is not None:
            deltas.append(self._usage)
        if self._reason == "length":
            deltas.append(Finish("max_output_tokens"))
        elif self._reason == "content_filter":
            deltas.append(Finish("content_filter"))
        return deltas

    def _call(self, call: Any) -> ToolCallDelta:
        function = getattr(call, "function", None)
        name = getattr(function, "name", None) or ""
        arguments = getattr(function, "arguments", None) or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        given, identity = getattr(call, "index", None), getattr(call, "id", None) or None
        index = self._find(given, identity, new=bool(name))
        first = index is None
        if index is None:
            index = len(self._calls)
            self._calls.append((given, identity))
        if arguments:
            self._has_arguments.add(index)
        return ToolCallDelta(index, name if first else "", arguments)

    def _find(self, given: Any, identity: str | None, *, new: bool) -> int | None:
        for index in reversed(range(len(self._calls))):
            known, known_identity = self._calls[index]
            if identity is not None and known_identity is not None:
                if identity == known_identity:
                    return index
            elif known == given and not (new and identity is None and given is None):
                return index
        return None


def _usage(usage: Any) -> Usage:
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        input_tokens=getattr(usage, "prompt_tokens", None) or 0,
        output_tokens=getattr(usage, "completion_tokens", None) or 0,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
    )
