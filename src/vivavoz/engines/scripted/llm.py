"""A language model that reads from the script, word by word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from vivavoz.engines.ports import (
    Counted,
    EngineError,
    Finish,
    ReplyDelta,
    ReplyOptions,
    TextDelta,
    ToolCallDelta,
    Usage,
    Window,
)
from vivavoz.engines.scripted.brain import Answer, answer, count, words
from vivavoz.engines.scripted.clock import wait_ms
from vivavoz.engines.scripted.plot import read
from vivavoz.engines.scripted.script import Script
from vivavoz.engines.scripted.state import CallState
from vivavoz.wire.items import Item

_ARGUMENT_PIECE = 12
"""Characters of a call's arguments in one token."""


def tokens(given: Answer) -> Iterator[TextDelta | ToolCallDelta]:
    """The answer in the pieces in which a model would stream it: words, then calls."""
    for word in words(given.text):
        yield TextDelta(word)
    for index, call in enumerate(given.calls):
        yield ToolCallDelta(index, call.name, "")
        for start in range(0, len(call.json), _ARGUMENT_PIECE):
            yield ToolCallDelta(index, "", call.json[start : start + _ARGUMENT_PIECE])


async def stream(given: Answer, read: int, options: ReplyOptions) -> AsyncGenerator[ReplyDelta, None]:
    """Deliver an answer: its tokens, its usage (``read``: tokens of the input) and why it ended; or its
    failure, where the script has one."""
    failure = given.failure("llm")
    allowed = options.max_output_tokens
    sent = 0
    cut = False
    for token in tokens(given):
        if failure is not None and sent >= failure.after_tokens:
            break
        if allowed is not None and sent >= allowed:
            cut = True
            break
        await wait_ms(given.delays.token_ms if sent else given.delays.first_token_ms)
        sent += 1
        yield token
    if failure is not None and not cut:
        if not sent:
            await wait_ms(given.delays.first_token_ms)
        raise EngineError(failure.message, failure.code)
    yield Usage(input_tokens=read, output_tokens=sent)
    if cut:
        yield Finish("max_output_tokens")
    elif given.step.finish is not None:
        yield Finish(given.step.finish)


def window_of(script: Script) -> Window | None:
    return Window(script.window.tokens, script.window.output) if script.window is not None else None


def input_tokens(items: Sequence[Item], options: ReplyOptions, window: Window | None) -> int:
    """Raises EngineError where they are more than the model can read."""
    counted = count(items, options)
    tokens = counted.instructions + sum(counted.items)
    if window is not None and tokens >= window.tokens:
        raise EngineError("The script's window does not hold this conversation.", "context_length_exceeded")
    return tokens


class ScriptedLlm:
    """What it answers depends on the items and the options alone."""

    sees = True

    def __init__(self, script: Script | None = None, state: CallState | None = None) -> None:
        self._script = Script.default() if script is None else script
        self._state = CallState() if state is None else state
        self.window = window_of(self._script)

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        """Port ``Counts``."""
        return count(items, options)

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        tokens = input_tokens(items, options, self.window)
        scene = read(items)
        given = answer(self._script, scene, options)
        self._state.answer = given
        async with aclosing(stream(given, tokens, options)) as deltas:
            async for delta in deltas:
                yield delta
