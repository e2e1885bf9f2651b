"""Watches a call from outside, by its inputs and effects alone, and makes records of its stages.

It knows what follows what in time and nothing of why: no rule of the protocol is here. The same steps give
the same records, so a trace can be watched too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from vivavoz.call.stages import JobKind, JobStages, SessionStages, StageListener, note
from vivavoz.call.watched_responses import WatchedResponses
from vivavoz.call.watched_turns import WatchedTurns
from vivavoz.session import effects, inputs
from vivavoz.session.effects import Effect
from vivavoz.session.translation.inputs import AnyInput
from vivavoz.wire import server_events as ev
from vivavoz.wire.base import tag_of
from vivavoz.wire.translation import TranslationSessionCreated, TranslationSessionUpdated

log = logging.getLogger("vivavoz.call")

_KINDS: dict[type, JobKind] = {
    effects.Transcribe: "stt",
    effects.Judge: "turn",
    effects.Reply: "llm",
    effects.Converse: "speech_to_speech",
    effects.Synthesize: "tts",
    effects.Translate: "translation",
    effects.Count: "count",
    effects.ListTools: "mcp_list",
    effects.CallTool: "mcp_call",
}


class StageWatch:
    """Of one call. Does nothing while nobody listens; who comes in the middle is told of what begins then."""

    def __init__(self) -> None:
        self._listeners: list[StageListener] = []
        self._voiced = 0
        self._turns = WatchedTurns(self._tell)
        self._responses = WatchedResponses(self._tell, self._turns)
        self._jobs: dict[int, tuple[JobStages, str]] = {}

    def listen(self, listener: StageListener) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: StageListener) -> None:
        """Idempotent. Who came alone and goes leaves nothing behind."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners:
            self._forget()

    def step(self, now: float, input: AnyInput, done: list[Effect], voiced: int) -> None:
        """``voiced``: the session's, after the step."""
        kind = type(input)
        if isinstance(input, inputs.Attached) and input.kind == "webrtc":
            self._responses.plays = True
        if not self._listeners:
            return
        self._turns.beginning = None
        if (happened := _INPUTS.get(kind)) is not None:
            happened(self, now, input)
        for effect in done:
            what: type = type(effect.event) if isinstance(effect, effects.Send) else type(effect)
            if (follows := _EFFECTS.get(what)) is not None:
                follows(self, now, effect)
        if voiced != self._voiced:
            self._voiced, self._turns.voiced_at = voiced, now

    @property
    def running(self) -> Counter[JobKind]:
        """Jobs that are not over, while somebody listens."""
        return Counter(job.kind for job, _ in self._jobs.values())

    def closed(self, now: float) -> None:
        """The call is over: tell what is open, and that it is."""
        for job, _ in list(self._jobs.values()):
            self._job_over(now, job.job, "cancelled")
        self._turns.close(now)
        self._responses.close()
        self._tell(lambda listener: listener.closed(now))
        self._listeners.clear()

    def _forget(self) -> None:
        self._turns.forget()
        self._responses.forget()
        self._jobs.clear()

    def _tell(self, what: Callable[[StageListener], None]) -> None:
        for listener in list(self._listeners):
            try:
                what(listener)
            except Exception:
                log.exception("a listener to a call's stages broke, and is told nothing more")
                self.unlisten(listener)

    def _configured(self, now: float, effect: effects.Send) -> None:
        session: Any = effect.event.session  # type: ignore[union-attr]
        stages = SessionStages(
            session_id=session.id,
            type=tag_of(type(session)),
            model=getattr(session, "model", None),
            tracing=getattr(session, "tracing", None),
        )
        self._tell(lambda listener: listener.session(now, stages))

    def _start(self, now: float, effect: effects.StartJob) -> None:
        job = JobStages(job=effect.job, kind=_KINDS[type(effect.task)], started=now)
        self._jobs[effect.job] = (job, effect.owner)
        if (response := self._responses.get(effect.owner)) is not None:
            if job.kind == "tts" and response.tts_started is None:
                response.tts_started = now
            elif job.kind in ("llm", "speech_to_speech") and response.llm_started is None:
                response.llm_started = now
            note(response, job)
        elif (turn := self._turns.get(effect.owner)) is None:
            # Push to talk: the work on a turn begins before the turn is shown, in the same step.
            self._turns.beginning = (effect.owner, job)
        elif job.kind == "stt":
            turn.hearing = job.job
            note(turn.stages, job)
        else:
            turn.stages.paused = now
            note(turn.stages, job)

    def _said(self, now: float, input: Any) -> None:
        """A reply's word, call, or (of a voice) sound."""
        job, owner = self._jobs.get(input.job, (None, ""))
        if job is None:
            return
        if job.first is None:
            job.first = now
        if (response := self._responses.get(owner)) is None:
            return
        if job.kind != "tts" and response.first_token is None:
            response.first_token = now
        if isinstance(input, inputs.Synthesized) and input.pcm and response.first_audio is None:
            response.first_audio = now

    def _transcribed(self, now: float, input: inputs.Transcribed) -> None:
        job, owner = self._jobs.get(input.job, (None, ""))
        if job is None:
            return
        if job.kind == "stt":
            if job.first is None:
                job.first = now
            if input.final and (turn := self._turns.get(owner)) is not None and turn.committed:
                turn.stages.transcribed, turn.hearing = now, None
                self._job_over(now, input.job, "completed")
                self._turns.over(now, turn, "understood" if input.text else "wordless")
        elif input.final and (response := self._responses.get(owner)) is not None:
            response.transcribed = now

    def _counted(self, now: float, input: inputs.RepliedUsage) -> None:
        job, _ = self._jobs.get(input.job, (None, ""))
        if job is not None:
            job.input_tokens += input.input_tokens
            job.output_tokens += input.output_tokens
            job.cached_tokens += input.cached_tokens

    def _ended(self, now: float, input: Any) -> None:
        """It said so, or gave the one answer that it was asked for."""
        self._job_over(now, input.job, "completed")

    def _returned(self, now: float, input: inputs.ToolReturned) -> None:
        if input.error is None:
            self._job_over(now, input.job, "completed")
        else:
            self._job_over(now, input.job, "failed", tag_of(type(input.error)))

    def _failed(self, now: float, input: inputs.JobFailed) -> None:
        self._job_over(now, input.job, "failed", input.code)

    def _cancelled(self, now: float, effect: effects.CancelJob) -> None:
        self._job_over(now, effect.job, "cancelled")

    def _job_over(self, now: float, number: int, outcome: Any, code: str | None = None) -> None:
        job, owner = self._jobs.pop(number, (None, ""))
        if job is None:
            return
        job.ended, job.outcome, job.code = now, outcome, code
        response, turn = self._responses.get(owner), self._turns.get(owner)
        if response is not None:
            if job.kind == "tts":
                response.tts_ended = now
            elif job.kind in ("llm", "speech_to_speech"):
                response.llm_ended = now
        elif turn is not None and turn.hearing == number:
            self._turns.unheard(now, turn, job)
        elif turn is None:
            self._tell(lambda listener: listener.job(job))


_INPUTS: dict[type, Any] = {
    inputs.RepliedText: StageWatch._said,
    inputs.RepliedCall: StageWatch._said,
    inputs.Synthesized: StageWatch._said,
    inputs.Transcribed: StageWatch._transcribed,
    inputs.RepliedUsage: StageWatch._counted,
    inputs.Judged: StageWatch._ended,
    inputs.Counted: StageWatch._ended,
    inputs.ToolsListed: StageWatch._ended,
    inputs.ToolReturned: StageWatch._returned,
    inputs.JobEnded: StageWatch._ended,
    inputs.JobFailed: StageWatch._failed,
    inputs.Flushed: lambda watch, now, input: watch._responses.flushed(),
}

_EFFECTS: dict[type, Any] = {
    effects.StartJob: StageWatch._start,
    effects.CancelJob: StageWatch._cancelled,
    ev.SessionCreated: StageWatch._configured,
    ev.SessionUpdated: StageWatch._configured,
    TranslationSessionCreated: StageWatch._configured,
    TranslationSessionUpdated: StageWatch._configured,
    ev.SpeechStarted: lambda watch, now, effect: watch._turns.speech_started(now, effect.event),
    ev.SpeechStopped: lambda watch, now, effect: watch._turns.speech_stopped(effect.event),
    ev.InputAudioBufferCommitted: lambda watch, now, effect: watch._turns.committed(now, effect.event),
    ev.InputAudioBufferCleared: lambda watch, now, effect: watch._turns.abandon(now),
    ev.TimeoutTriggered: lambda watch, now, effect: watch._turns.timed_out(effect.event),
    ev.ResponseCreated: lambda watch, now, effect: watch._responses.created(now, effect.event),
    ev.OutputAudioDelta: lambda watch, now, effect: watch._responses.sounded(effect.event),
    ev.OutputAudioBufferStarted: lambda watch, now, effect: watch._responses.playing(now, effect.event),
    ev.ResponseDone: lambda watch, now, effect: watch._responses.done(now, effect.event),
}
