"""Engine work on behalf of a session: one task per running job, its results turned into inputs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from vivavoz.call.feed import Feed
from vivavoz.call.held import Held
from vivavoz.call.options import reply_options, speech_options
from vivavoz.call.remote_tools import RemoteTools
from vivavoz.call.speculation import Speculation
from vivavoz.engines.ports import (
    Counts,
    EngineError,
    Engines,
    Finish,
    Speech,
    SttOptions,
    TextDelta,
    ToolCallDelta,
    Transcript,
    TranslationOptions,
    Usage,
)
from vivavoz.session.effects import (
    CallTool,
    Converse,
    Count,
    Judge,
    ListTools,
    Reply,
    Synthesize,
    Task,
    Transcribe,
    Translate,
)
from vivavoz.session.inputs import (
    Counted,
    Input,
    JobEnded,
    JobFailed,
    Judged,
    RepliedCall,
    RepliedFinish,
    RepliedText,
    RepliedUsage,
    Synthesized,
    ToolReturned,
    ToolsListed,
    Transcribed,
)

log = logging.getLogger("vivavoz.call.jobs")


class Running:
    """One job's task, its feed, and the clock that bounds its silence. ``owes``: the engine has all that it
    needs; one that is still fed may be silent for as long as the caller is. ``held``: what was made of it
    before it was started."""

    def __init__(self, feed: Feed, owes: bool, held: Held | None) -> None:
        self.feed = feed
        self.owes = owes
        self.held = held
        self.task: asyncio.Task[None] | None = None
        self.patience: asyncio.Timeout | None = None


class JobRunner:
    """Starts, feeds and cancels jobs. ``told`` takes their results; ``pace`` waits while enough sound is
    queued ahead of the caller's ear; ``speculation`` may have done some of a job before it is started."""

    def __init__(
        self,
        engines: Engines,
        group: asyncio.TaskGroup,
        told: Callable[[Input], Awaitable[None]],
        pace: Callable[[], Awaitable[None]],
        patience_s: float,
        tools: RemoteTools,
        speculation: Speculation,
    ) -> None:
        self._engines = engines
        self._group = group
        self._told = told
        self._pace = pace
        self._patience_s = patience_s
        self._tools = tools
        self._speculation = speculation
        self._running: dict[int, Running] = {}

    def start(self, job: int, task: Task, owner: str = "") -> None:
        """``owner``: of the effect."""
        held = self._speculation.take(job, task, owner)
        running = Running(Feed(), not isinstance(task, Transcribe | Translate | Synthesize), held)
        self._running[job] = running
        running.task = self._group.create_task(self._run(job, task, running), name=f"job-{job}")

    def feed(self, job: int, piece: bytes | str) -> None:
        if (running := self._running.get(job)) is not None:
            running.feed.put(piece)

    def finish(self, job: int) -> None:
        if (running := self._running.get(job)) is not None:
            running.feed.finish()
            running.owes = True
            self._wait_for(running)

    def cancel(self, job: int) -> None:
        running = self._running.pop(job, None)
        self._speculation.cancelled(job)
        if running is None:
            return
        if running.task is not None:
            running.task.cancel()
        if running.held is not None:
            # Its task may not have begun, and would never let go of it.
            running.held.cancel()

    def cancel_all(self) -> None:
        self._speculation.close()
        for job in list(self._running):
            self.cancel(job)

    # ---------------------------------------------------------------------------- one job

    async def _run(self, job: int, task: Task, running: Running) -> None:
        try:
            async with asyncio.timeout(None) as running.patience:
                self._wait_for(running)
                await self._do(job, task, running)
            await self._told(JobEnded(job=job))
        except EngineError as error:
            log.warning("job %d (%s) failed: %s", job, type(task).__name__, error.code)
            await self._told(JobFailed(job=job, code=error.code, message=error.message))
        except TimeoutError:
            log.error("job %d (%s) was silent for too long", job, type(task).__name__)
            message = "The engine did not answer in time."
            await self._told(JobFailed(job=job, code="engine_timeout", message=message))
        except Exception:
            log.exception("job %d (%s) failed unexpectedly", job, type(task).__name__)
            message = "The engine failed unexpectedly."
            await self._told(JobFailed(job=job, code="server_error", message=message))
        finally:
            self._running.pop(job, None)

    def _wait_for(self, running: Running) -> None:
        """From now on the engine owes us something, if it does."""
        if running.owes and running.patience is not None and not running.patience.expired():
            running.patience.reschedule(asyncio.get_running_loop().time() + self._patience_s)

    async def _do(self, job: int, task: Task, running: Running) -> None:
        match task:
            case Judge():
                await self._judge(job, task)
            case Count():
                await self._count(job, task)
            case ListTools():
                await self._told(ToolsListed(job=job, tools=await self._tools.list_tools(task)))
            case CallTool():
                result = await self._tools.call(task)
                await self._told(ToolReturned(job=job, output=result.output, error=result.error))
            case _:
                results = self._results(task, running)
                async with contextlib.aclosing(results):  # type: ignore[type-var]
                    async for result in results:
                        await self._told(_input(job, result))
                        if isinstance(result, Speech):
                            await self._without_hurry(running)
                        elif running.patience is not None and running.patience.when() is not None:
                            self._wait_for(running)

    async def _without_hurry(self, running: Running) -> None:
        """Sound is made faster than it is heard: wait until the caller's ear is nearer."""
        if running.patience is not None:
            running.patience.reschedule(None)
        await self._pace()
        self._wait_for(running)

    async def _judge(self, job: int, task: Judge) -> None:
        detector = self._engines.turn
        if detector is None:
            raise EngineError("There is no turn detector.", "engine_absent")
        await self._told(Judged(job=job, probability=await detector.judge(task.pcm)))

    async def _count(self, job: int, task: Count) -> None:
        model = self._engines.speech_to_speech or self._engines.llm
        if not isinstance(model, Counts):
            raise EngineError("There is no engine that counts.", "engine_absent")
        counted = await model.count(task.reply.items, reply_options(task.reply))
        await self._told(Counted(job=job, items=counted.items, instructions=counted.instructions))

    def _results(self, task: Task, running: Running) -> AsyncIterator[Any]:
        if running.held is None:
            return self._work(task, running.feed)
        return running.held.results(running.feed, lambda feed: self._work(task, feed))

    def _work(self, task: Task, feed: AsyncIterator[Any]) -> AsyncIterator[Any]:
        engines = self._engines
        match task:
            case Transcribe() if engines.stt is not None:
                wanted = task.options
                options = SttOptions(
                    model=wanted.model if wanted else None,
                    language=wanted.language if wanted else None,
                    prompt=wanted.prompt if wanted else None,
                    logprobs=task.logprobs,
                )
                return engines.stt.transcribe(feed, options)
            case Translate() if engines.translator is not None:
                wishes = TranslationOptions(
                    model=task.model,
                    language=task.language,
                    transcription=task.transcription,
                    context=task.context,
                )
                return engines.translator.translate(feed, wishes)
            case Reply() if engines.llm is not None:
                return engines.llm.reply(task.items, reply_options(task))
            case Synthesize() if engines.tts is not None:
                return engines.tts.synthesize(feed, speech_options(task))
            case Converse() if engines.speech_to_speech is not None:
                return engines.speech_to_speech.converse(
                    task.reply.items, task.audio, reply_options(task.reply), speech_options(task.speech)
                )
        raise EngineError(f"There is no engine to {type(task).__name__.lower()}.", "engine_absent")


def _input(job: int, result: Any) -> Input:
    match result:
        case TextDelta():
            return RepliedText(job=job, text=result.text)
        case Speech():
            return Synthesized(job=job, pcm=result.pcm, text=result.text)
        case Transcript():
            return Transcribed(
                job=job,
                text=result.text,
                final=result.final,
                logprobs=result.logprobs,
                segments=result.segments,
                draft=result.draft,
            )
        case ToolCallDelta():
            return RepliedCall(job=job, index=result.index, name=result.name, arguments=result.arguments)
        case Usage():
            return RepliedUsage(
                job=job,
                input_tokens=result.input_tokens,
                output_tokens=result.output_tokens,
                cached_tokens=result.cached_tokens,
            )
        case Finish():
            return RepliedFinish(job=job, reason=result.reason)
    raise TypeError(f"an engine yielded {type(result).__name__}")


__all__ = ["JobRunner"]
