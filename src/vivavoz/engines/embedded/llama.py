"""Language models in GGUF by llama.cpp (xllamacpp): slots that share batches, cached prompts, fast cancel."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from vivavoz.engines.chat import to_chat, to_chat_tools
from vivavoz.engines.embedded import toolcalls
from vivavoz.engines.embedded.generation import Generation
from vivavoz.engines.embedded.reading import Reading
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.embedded.tokens import TokenCounter, around, spelled
from vivavoz.engines.ports import (
    Counted,
    EngineError,
    Finish,
    ReplyDelta,
    ReplyOptions,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from vivavoz.wire.items import Item

_BATCH = 64
"""Prompt tokens computed in one go: between two of them a reply can be cancelled and others get a turn."""
_CACHE_MB = 256
_REUSED = 32
"""Tokens in a row that are worth moving in a cached prompt: behind what a truncation has left out, the rest
need not be read again."""
_ALIKE = 0.005
"""The share of a prompt that must stand at the beginning of a cached one for that: short instructions before
a long conversation."""


class LlamaLlm:
    """Ports ``Llm`` and ``Counts``, hosted in an engine process."""

    def __init__(
        self,
        model: str,
        *,
        threads: int = 1,
        context: int = 4096,
        parallel: int = 2,
        max_tokens: int = 320,
        temperature: float = 0.3,
        tools: bool = False,
    ) -> None:
        """``context``: tokens of one conversation, prompt and reply. ``max_tokens``: the longest reply.
        ``tools``: whether the model is good enough to be offered functions."""
        self._model = model
        self._threads = threads
        self._context = context
        self._parallel = parallel
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._tools = tools
        self._guided = False
        """The library's build has llguidance, whose grammars hold words or calls."""
        self._server: Any = None
        self._reading = Reading()
        self._tokens = TokenCounter(lambda: self._server, context * parallel)

    def load(self) -> None:
        xllamacpp = require("xllamacpp")
        self._guided = xllamacpp.json_schema_to_grammar("{}").startswith("%llguidance")
        params = xllamacpp.CommonParams()
        params.model.path = self._model
        params.n_ctx = self._context * self._parallel
        params.kv_unified = True
        params.n_parallel = self._parallel
        params.n_batch = params.n_ubatch = _BATCH
        params.cache_ram_mib = _CACHE_MB
        params.n_cache_reuse = _REUSED
        params.slot_prompt_similarity = _ALIKE
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.verbosity = -1  # its log would hold what is said
        params.ui = params.endpoint_slots = params.endpoint_props = False
        with tempfile.TemporaryDirectory(prefix="vivavoz-llm-") as directory:
            # The library always listens as well. On a Unix socket that is gone at once nobody reaches it.
            params.hostnames = [str(Path(directory) / "unused.sock")]
            try:
                self._server = xllamacpp.Server(params)
            except Exception as error:  # the library raises its own, unrelated types
                raise EngineError(f"{Path(self._model).name} does not load: {error}") from error
        warm = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        self._server.handle_chat_completions(warm, lambda _: False)

    def close(self) -> None:
        self._server = None

    async def prepare(self, items: Sequence[Item], options: ReplyOptions) -> None:
        """Port ``Prepares``: the prompt goes through the model once and stays in its cache."""
        system, _ = self._system(options)
        messages = to_chat(items, system, images=False)
        if not messages:
            return
        await self._reading.over(messages)
        generation = Generation(self._server, {**self._request(1), "messages": messages})
        self._reading.begins(messages, generation)
        async with contextlib.aclosing(generation.chunks()) as chunks:
            async for _ in chunks:
                pass

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        """Port ``Counts``: by the model's own tokenizer."""
        system, _ = self._system(options)
        texts = [spelled(item, _words(item)) for item in items]
        tokens = await self._tokens.count([system, *texts])
        first, *rest = [around(count) for count in tokens]
        return Counted(rest, first)

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        system, tools = self._system(options)
        limit = min(options.max_output_tokens or self._max_tokens, self._max_tokens)
        request = self._request(limit)
        if tools and self._guided:
            request["grammar"] = toolcalls.grammar(tools, options.tool_choice)
        elif tools and options.tool_choice != "auto":
            only = options.tool_choice.get("name") if isinstance(options.tool_choice, dict) else None
            wanted = {"schema": toolcalls.schema(tools, only)}
            request["response_format"] = {"type": "json_schema", "json_schema": wanted}
        reader = toolcalls.CallReader([tool["function"]["name"] for tool in tools]) if tools else None
        usage: Usage | None = None
        length = False
        messages = request["messages"] = to_chat(items, system, images=False)
        await self._reading.over(messages)
        async with contextlib.aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                for choice in chunk.get("choices", ()):
                    text = (choice.get("delta") or {}).get("content") or ""
                    length = length or choice.get("finish_reason") == "length"
                    if text and (words := reader.feed(text) if reader else text):
                        yield TextDelta(words)
                usage = _usage(chunk) or usage
        if reader is not None:
            calls, words = reader.finish(cut=length)
            if words:
                yield TextDelta(words)
            for index, call in enumerate(calls):
                yield ToolCallDelta(index, call.name, call.arguments)
        if usage is not None:
            yield usage
        if length:
            yield Finish("max_output_tokens")

    def _system(self, options: ReplyOptions) -> tuple[str, list[dict[str, Any]]]:
        """The system message, and the functions that it offers."""
        tools = to_chat_tools(options.tools) if self._tools and options.tool_choice != "none" else []
        if not tools:
            return options.instructions, []
        return f"{options.instructions}\n\n{toolcalls.instructions(tools)}".strip(), tools

    def _request(self, max_tokens: int) -> dict[str, Any]:
        return {
            "max_tokens": max_tokens,
            "temperature": self._temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "cache_prompt": True,
        }

    async def _chunks(self, request: dict[str, Any]) -> Any:
        """The chunks of the reply; nothing is left out of the conversation."""
        generation = Generation(self._server, request)
        try:
            async with contextlib.aclosing(generation.chunks()) as chunks:
                async for chunk in chunks:
                    if (error := chunk.get("error")) is not None:
                        raise _refusal(error)
                    yield chunk
        finally:
            # One that is given up has the slot, and the cache, until its next token or batch.
            self._reading.begins(request["messages"], generation)


def _refusal(error: dict[str, Any]) -> EngineError:
    if error.get("type") == "exceed_context_size_error":
        return EngineError(
            "the conversation does not fit into the model's context", "context_length_exceeded"
        )
    # Without the library's own text: it may quote the prompt.
    return EngineError(f"the language model refused ({error.get('type', 'error')})")


def _words(item: Item) -> str:
    contents = (message["content"] for message in to_chat([item], images=False))
    return "\n".join(content for content in contents if isinstance(content, str))


def _usage(chunk: dict[str, Any]) -> Usage | None:
    counted = chunk.get("usage")
    if not counted:
        return None
    cached = (counted.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Usage(counted.get("prompt_tokens", 0), counted.get("completion_tokens", 0), cached)
