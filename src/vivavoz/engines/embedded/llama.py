"""Language models in GGUF by llama.cpp (xllamacpp): slots that share batches, cached prompts, fast cancel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from vivavoz.engines.chat import ChatMessage, drop_oldest, to_chat, to_chat_tools
from vivavoz.engines.embedded import toolcalls
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.ports import (
    EngineError,
    Finish,
    ReplyDelta,
    ReplyOptions,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from vivavoz.engines.process.threads import leave
from vivavoz.wire.items import Item

_BATCH = 64
"""Prompt tokens computed in one go: between two of them a reply can be cancelled and others get a turn."""
_CACHE_MB = 256
_SILENT_S = 60.0
"""No token and no progress for so long: the model hangs."""
_FIRST_GUESS = 3.2
"""Characters a token, until the model has counted."""


class LlamaLlm:
    """Port ``Llm``, hosted in an engine process."""

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

    async def prepare(self, options: ReplyOptions) -> None:
        """Port ``Prepares``: the instructions go through the model once and stay in its prompt cache."""
        system, _ = self._system(options)
        if not system:
            return
        request = {**self._request(1), "messages": to_chat([], system)}
        async with contextlib.aclosing(_Generation(self._server, request).chunks()) as chunks:
            async for _ in chunks:
                pass

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
        chunks = self._fitting(to_chat(items, system, images=False), request)
        async with contextlib.aclosing(chunks):
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

    async def _fitting(self, messages: list[ChatMessage], request: dict[str, Any]) -> Any:
        """The chunks of the reply to as much of the conversation as the context holds."""
        budget = self._context - request["max_tokens"] - 16
        per_token = _FIRST_GUESS
        for _ in range(4):
            fitting = drop_oldest(messages, _characters, int(budget * per_token))
            overflow: dict[str, Any] | None = None
            generation = _Generation(self._server, {**request, "messages": fitting})
            async with contextlib.aclosing(generation.chunks()) as chunks:
                async for chunk in chunks:
                    error = chunk.get("error")
                    if error is None:
                        yield chunk
                    elif error.get("type") == "exceed_context_size_error":
                        overflow = error
                    else:
                        # Without the library's own text: it may quote the prompt.
                        raise EngineError(f"the language model refused ({error.get('type', 'error')})")
            if overflow is None:
                return
            counted = sum(map(_characters, fitting)) / max(1, overflow.get("n_prompt_tokens", 1))
            per_token = min(per_token, counted) * 0.95
            budget = min(budget, int(overflow.get("n_ctx", self._context)) - request["max_tokens"] - 16)
        raise EngineError("the conversation does not fit into the model's context", "context_length_exceeded")


class _Generation:
    """One run of the model, in a thread of its own: llama.cpp queues and batches them itself."""

    def __init__(self, server: Any, request: dict[str, Any]) -> None:
        self._server = server
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[dict[str, Any] | Exception | None] = asyncio.Queue()
        self._cancelled = False

    async def chunks(self) -> Any:
        """What the library streams. Closing the generator stops the model at its next token or batch."""
        thread = threading.Thread(target=self._run, name="llm", daemon=True)
        thread.start()
        try:
            while True:
                try:
                    async with asyncio.timeout(_SILENT_S):
                        chunk = await self._arrived.get()
                except TimeoutError:
                    leave()
                    raise EngineError("the language model hangs", "engine_stalled") from None
                if chunk is None:
                    return
                if isinstance(chunk, Exception):
                    raise EngineError(f"the language model failed ({type(chunk).__name__})")
                yield chunk
        finally:
            self._cancelled = True

    def _run(self) -> None:
        try:
            self._server.handle_chat_completions(self._request, self._arrive)
            self._tell(None)
        except Exception as error:  # whatever the library raises belongs to the reply
            self._tell(error)

    def _arrive(self, chunk: Any) -> bool:
        """Called by the library for every token and every batch of the prompt; True stops it."""
        if not self._cancelled:
            self._tell(chunk if isinstance(chunk, dict) else json.loads(chunk))
        return self._cancelled

    def _tell(self, chunk: dict[str, Any] | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever listened
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, chunk)


def _characters(message: ChatMessage) -> int:
    """A message's length in characters, with what the chat template puts around it."""
    calls = message.get("tool_calls")
    return len(message.get("content") or "") + (len(json.dumps(calls)) if calls else 0) + 20


def _usage(chunk: dict[str, Any]) -> Usage | None:
    counted = chunk.get("usage")
    if not counted:
        return None
    cached = (counted.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Usage(counted.get("prompt_tokens", 0), counted.get("completion_tokens", 0), cached)
