"""Answers the function calls of one call's responses with the application's own tools.

The tools of a response run when it is done; each output goes into the conversation when it is there, and once
every call of the response has its output, the model is asked to go on. What the events say decides, not what
was sent: an output counts when the conversation has it, and a response that began after that has read it.

Left alone: tools of other names, which are the client's; responses out of band, which are for whoever asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from vivavoz.app.observer.fields import identifier, members, objects, text
from vivavoz.app.observer.ports import Event
from vivavoz.app.observer.state import CallFold
from vivavoz.app.observer.tools import Tool, Toolbox, ToolContext, ToolFailed, output_of
from vivavoz.app.observer.turns import is_out_of_band

log = logging.getLogger("vivavoz.app")

MAX_AT_ONCE = 4
"""Tools of one call that run at the same time."""
MAX_WAITING = 32
"""Tool calls of one call that are not answered; more are refused."""
MAX_ROUNDS = 8
MAX_TAKEN = 1000
"""Calls that are remembered, so that none is answered twice."""
MAX_THREADS = 16
AFTER_SPEECH_S = 3.0
"""How long the service may take to answer speech, before what a tool said is answered instead."""
CLOSES_WITHIN_S = 2.0

Send = Callable[[Mapping[str, Any]], None]


class Threads:
    """Where tools that are no coroutines run. One that never returns keeps its thread, and no other."""

    def __init__(self, threads: int = MAX_THREADS) -> None:
        self._threads = threads
        self._busy = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[[], Any]) -> Any:
        """Raises ToolFailed where all threads are taken, and what the function raises."""
        if self._busy >= self._threads:
            raise ToolFailed("Too many tools are running. Try again later.")
        self._busy += 1
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="tool")
        work = self._pool.submit(contextvars.copy_context().run, function)
        loop = asyncio.get_running_loop()

        def freed(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
                loop.call_soon_threadsafe(self._freed)

        work.add_done_callback(freed)
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _freed(self) -> None:
        self._busy -= 1


class _Round:
    """The function calls of one response. ``landed``: outputs of ours that the conversation has."""

    def __init__(self, calls: list[str], mine: set[str]) -> None:
        self.calls = calls
        self.mine = mine
        self.request: str | None = None
        """The ``event_id`` of the ``response.create`` that is under way."""


class ToolRunner:
    """``send`` takes a client event; ``seconds`` bounds each tool."""

    def __init__(
        self,
        tools: Toolbox,
        context: ToolContext,
        fold: CallFold,
        send: Send,
        threads: Threads,
        *,
        seconds: float = 30.0,
    ) -> None:
        self._tools = tools
        self._context = context
        self._fold = fold
        self._send = send
        self._threads = threads
        self._seconds = seconds
        self._rounds: list[_Round] = []
        self._taken: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0

    def happened(self, event: Event) -> None:
        """One event, which the fold has had already."""
        match event.get("type"):
            case "response.done":
                self._done(members(event, "response"))
                self._go_on()
            case "conversation.item.added" | "conversation.item.created":
                self._landed(members(event, "item"))
                self._go_on()
            case "response.created":
                # It has read every output that was there: nobody needs to ask again.
                if not is_out_of_band(members(event, "response")):
                    self._rounds = [each for each in self._rounds if not self._answered(each)]
                    self._stop_waiting()
            case "input_audio_buffer.speech_stopped":
                self._wait_for_the_turn()
            case "error":
                self._refused(members(event, "error"))

    def interrupted(self) -> None:
        """After a restart: calls that nobody answered may have run, and are not run again."""
        for call in self._fold.state.tools:
            if (
                call.by == "application"
                and call.output is None
                and call.status == "in_progress"
                and call.arguments
            ):
                call.status = "failed"
                self._answer(call.call_id, _failure("The tool was interrupted; it may have run."))
                self._open(_Round([call.call_id], {call.call_id}))

    async def close(self) -> None:
        self._stop_waiting()
        for task in self._tasks:
            task.cancel()
        for tasks in (self._tasks, self._work):
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSES_WITHIN_S)

    # ------------------------------------------------------------------------------------ a response's calls

    def _done(self, response: Event) -> None:
        if is_out_of_band(response):
            return
        calls = list(_finished_calls(response))
        mine = [(call_id, tool) for call_id, name, _ in calls if (tool := self._tools.get(name))]
        mine = [(call_id, tool) for call_id, tool in mine if not self._is_taken(call_id)]
        if not mine:
            return
        for call_id, _ in mine:
            self._taken[call_id] = None
        while len(self._taken) > MAX_TAKEN:
            del self._taken[next(iter(self._taken))]
        arguments = {call_id: given for call_id, _, given in calls}
        if text(response, "status") != "completed":
            for call_id, _ in mine:
                self._answer(call_id, _failure("Not run: the response was cancelled."))
            return
        self._open(_Round([call_id for call_id, _, _ in calls], {call_id for call_id, _ in mine}))
        for call_id, tool in mine:
            if len(self._tasks) >= MAX_WAITING:
                self._fail(call_id, "Too many tools are running. Try again later.")
                continue
            task = asyncio.create_task(self._run(call_id, tool, arguments[call_id]), name=f"tool {tool.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_taken(self, call_id: str) -> bool:
        """Whether it is answered already, by us or by somebody else."""
        return call_id in self._taken or self._fold.tools.answered([call_id])

    def _open(self, round: _Round) -> None:
        self._rounds.append(round)
        del self._rounds[:-MAX_ROUNDS]

    async def _run(self, call_id: str, tool: Tool, arguments: str) -> None:
        try:
            async with self._at_once:
                self._answer(call_id, await self._result(tool, arguments))
        except ToolFailed as failure:
            self._fail(call_id, str(failure))
        except Exception as error:
            # What it says may be what the caller said.
            log.warning(
                "call %s: tool '%s' failed: %s", self._context.call_id, tool.name, type(error).__name__
            )
            self._fail(call_id, "The tool failed.")

    async def _result(self, tool: Tool, arguments: str) -> str:
        call = functools.partial(tool.function, **tool.arguments(arguments, self._context))
        work = asyncio.create_task(_kept_in(call() if tool.asynchronous else self._threads.run(call)))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        try:
            done, _ = await asyncio.wait({work}, timeout=self._seconds)
        finally:
            if not work.done():
                work.cancel()
        if not done:
            raise ToolFailed(f"The tool took longer than {self._seconds:g} s.")
        if work.cancelled():
            raise ToolFailed("The tool failed.")
        return output_of(work.result())

    def _fail(self, call_id: str, message: str) -> None:
        if call := self._fold.tools.get(call_id):
            call.status = "failed"
        self._answer(call_id, _failure(message))

    def _answer(self, call_id: str, output: str) -> None:
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        self._send({"type": "conversation.item.create", "event_id": self._event_id(), "item": item})

    # ------------------------------------------------------------------------------------ going on

    def _landed(self, item: Event) -> None:
        """Where a client's output is the last one, the client asks for the response."""
        if text(item, "type") != "function_call_output":
            return
        call_id = identifier(item, "call_id")
        self._rounds = [
            each
            for each in self._rounds
            if not (call_id in each.calls and call_id not in each.mine and self._answered(each))
        ]

    def _answered(self, round: _Round) -> bool:
        return self._fold.tools.answered(round.calls)

    def _go_on(self) -> None:
        """Ask for the response, unless one is being made, or the caller is about to cause one."""
        if self._fold.turns.active or self._fold.speaking or self._timer is not None:
            return
        waiting = [each for each in self._rounds if self._answered(each)]
        if waiting and all(each.request is None for each in waiting):
            event_id = self._event_id()
            for each in waiting:
                each.request = event_id
            self._send({"type": "response.create", "event_id": event_id})

    def _wait_for_the_turn(self) -> None:
        self._stop_waiting()
        if self._rounds:
            self._timer = asyncio.get_running_loop().call_later(AFTER_SPEECH_S, self._no_turn_came)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _no_turn_came(self) -> None:
        self._timer = None
        self._go_on()

    def _refused(self, error: Event) -> None:
        """Another response was faster: asked again when it is done. Else there is no use in asking."""
        event_id = identifier(error, "event_id")
        active = identifier(error, "code") == "conversation_already_has_active_response"
        for each in [each for each in self._rounds if each.request is not None and each.request == event_id]:
            each.request = None
            if not active:
                self._rounds.remove(each)

    def _event_id(self) -> str:
        self._sent += 1
        return f"app_tool_{self._sent}"


async def _kept_in(work: Awaitable[Any]) -> Any:
    """A tool that asks to exit ends its own call, not the process."""
    try:
        return await work
    except SystemExit:
        raise ToolFailed("The tool failed.") from None


def _finished_calls(response: Event) -> Iterator[tuple[str, str, str]]:
    """(call id, name, arguments) of the function calls that the conversation has whole."""
    for item in objects(response, "output", 128):
        call_id, name = identifier(item, "call_id"), identifier(item, "name")
        if (
            text(item, "type") == "function_call"
            and text(item, "status") != "incomplete"
            and call_id
            and name
        ):
            yield call_id, name, text(item, "arguments")


def _failure(message: str) -> str:
    return msgspec.json.encode({"error": message}).decode()
