"""Watches a call from outside, by its inputs and effects alone, and makes records of its stages.

It knows what follows what in time and nothing of why: no rule of the protocol is here. The same steps give
the same records, so a trace can be watched too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from vivavoz.call.stages import (
    JobKind,
    JobStages,
    ResponseStages,
    SessionStages,
    StageListener,
    TurnOutcome,
    TurnStages,
    timings_of,
)
from vivavoz.session import effects, inputs
from vivavoz.session.effects import Effect
from vivavoz.session.translation.inputs import AnyInput
from vivavoz.wire import server_events as ev
from vivavoz.wire.base import tag_of
from vivavoz.wire.translation import TranslationSessionCreated, TranslationSessionUpdated

log = logging.getLogger("vivavoz.call")

MAX_OPEN = 64
"""Turns, and responses, that are followed at once; of more, the oldest are told as they are."""

MAX_JOBS = 64
"""Jobs that one record lists."""

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

Owner = TurnStages | ResponseStages


class _Turn:
    """A turn. ``hearing``: the job that transcribes it; ``deaf``: that job gave up."""

    def __init__(self, stages: TurnStages) -> None:
        self.stages = stages
        self.committed = False
        self.hearing: int | None = None
        self.deaf = False


class _Answer:
    """A response, the turn it answers, and whether its sound is still to begin."""

    def __init__(self, stages: ResponseStages, turn: TurnStages | None) -> None:
        self.stages = stages
        self.turn = turn
        self.unheard = False


class StageWatch:
    """Of one call. Does nothing while nobody listens; who comes in the middle is told of what begins then."""

    def __init__(self) -> None:
        self._listeners: list[StageListener] = []
        self._plays = False
        self._voiced = 0
        self._voiced_at: float | None = None
        self._turns: dict[str, _Turn] = {}
        self._open_turn: str | None = None
        self._silence: str | None = None
        self._beginning: tuple[str, JobStages] | None = None
        self._unanswered: list[TurnStages] = []
        self._answers: dict[str, _Answer] = {}
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
            self._plays = True
        if not self._listeners:
            return
        self._beginning = None
        if (happened := _INPUTS.get(kind)) is not None:
            happened(self, now, input)
        for effect in done:
            what: type = type(effect.event) if isinstance(effect, effects.Send) else type(effect)
            if (follows := _EFFECTS.get(what)) is not None:
                follows(self, now, effect)
        if voiced != self._voiced:
            self._voiced, self._voiced_at = voiced, now

    def closed(self, now: float) -> None:
        """The call is over: tell what is open, and that it is."""
        for job, _ in list(self._jobs.values()):
            self._job_over(now, job.job, "cancelled")
        for turn in list(self._turns.values()):
            self._turn_over(now, turn, "discarded")
        for answer in list(self._answers.values()):
            self._answer_over(answer)
        self._tell(lambda listener: listener.closed(now))
        self._listeners.clear()

    def _forget(self) -> None:
        self._turns.clear()
        self._answers.clear()
        self._jobs.clear()
        self._unanswered.clear()
        self._open_turn = None

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

    # ---------------------------------------------------------------------------- jobs

    def _start(self, now: float, effect: effects.StartJob) -> None:
        job = JobStages(job=effect.job, kind=_KINDS[type(effect.task)], started=now)
        self._jobs[effect.job] = (job, effect.owner)
        if (answer := self._answers.get(effect.owner)) is not None:
            response = answer.stages
            if job.kind == "tts" and response.tts_started is None:
                response.tts_started = now
            elif job.kind in ("llm", "speech_to_speech") and response.llm_started is None:
                response.llm_started = now
            _note(response, job)
        elif (turn := self._turns.get(effect.owner)) is None:
            # Push to talk: the work on a turn begins before the turn is shown, in the same step.
            self._beginning = (effect.owner, job)
        elif job.kind == "stt":
            turn.hearing = job.job
            _note(turn.stages, job)
        else:
            turn.stages.paused = now
            _note(turn.stages, job)

    def _said(self, now: float, input: Any) -> None:
        """A reply's word, call, or (of a voice) sound."""
        job, owner = self._jobs.get(input.job, (None, ""))
        if job is None:
            return
        if job.first is None:
            job.first = now
        if (answer := self._answers.get(owner)) is None:
            return
        response = answer.stages
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
                self._turn_over(now, turn, "understood" if input.text else "wordless")
        elif input.final and (answer := self._answers.get(owner)) is not None:
            answer.stages.transcribed = now

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
        answer, turn = self._answers.get(owner), self._turns.get(owner)
        if answer is not None:
            if job.kind == "tts":
                answer.stages.tts_ended = now
            elif job.kind in ("llm", "speech_to_speech"):
                answer.stages.llm_ended = now
        elif turn is not None and turn.hearing == number:
            self._unheard(now, turn, job)
        elif turn is None:
            self._tell(lambda listener: listener.job(job))

    def _unheard(self, now: float, turn: _Turn, job: JobStages) -> None:
        """The recogniser is gone without a final transcript."""
        turn.hearing, turn.deaf, turn.stages.code = None, True, job.code
        if job.outcome == "cancelled":
            self._turn_over(now, turn, "discarded")
        elif turn.committed:
            self._turn_over(now, turn, "failed" if job.outcome == "failed" else "wordless")

    # ---------------------------------------------------------------------------- turns

    def _speech_started(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        self._abandon(now)
        self._take(event.item_id, started_ms=event.audio_start_ms, started=now)
        self._open_turn = event.item_id

    def _speech_stopped(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        if (turn := self._turns.get(event.item_id)) is not None:
            turn.stages.stopped_ms = event.audio_end_ms

    def _committed(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        if event.item_id == self._silence:
            return
        self._open_turn = None
        turn = self._turns.get(event.item_id)
        if turn is None:
            turn = self._take(event.item_id)
            if self._beginning is not None and self._beginning[0] == event.item_id:
                job = self._beginning[1]
                turn.hearing = job.job
                _note(turn.stages, job)
        stages = turn.stages
        if stages.started is None:
            stages.spoken = now
        else:
            stages.spoken = self._voiced_at
            if stages.paused is None:
                stages.paused = now
        stages.decided, turn.committed = now, True
        self._unanswered.append(stages)
        del self._unanswered[:-MAX_OPEN]
        if turn.hearing is None:
            self._turn_over(now, turn, "failed" if turn.deaf else "understood")

    def _take(self, item_id: str, **members: Any) -> _Turn:
        turn = self._turns[item_id] = _Turn(TurnStages(item_id=item_id, **members))
        self._bound(self._turns, lambda oldest: self._turn_over(None, oldest, "discarded"))
        return turn

    def _timed_out(self, now: float, effect: effects.Send) -> None:
        """Nobody spoke: what is committed next is silence, and no turn."""
        event: Any = effect.event
        self._silence = event.item_id

    def _abandon(self, now: float) -> None:
        """The open turn, if there is one, was never committed."""
        turn = self._turns.get(self._open_turn or "")
        self._open_turn = None
        if turn is not None and not turn.committed:
            self._turn_over(now, turn, "discarded")

    def _cleared(self, now: float, effect: effects.Send) -> None:
        self._abandon(now)

    def _turn_over(self, now: float | None, turn: _Turn, outcome: TurnOutcome) -> None:
        stages = turn.stages
        if self._turns.pop(stages.item_id, None) is None:
            return
        stages.ended, stages.outcome = now, outcome
        if outcome in ("wordless", "discarded") and stages in self._unanswered:
            self._unanswered.remove(stages)
        self._tell(lambda listener: listener.turn(stages))

    # ---------------------------------------------------------------------------- responses

    def _created(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        stages = ResponseStages(response_id=event.response.id, created=now)
        stages.out_of_band = event.response.conversation_id is None
        turn = None
        if not stages.out_of_band and self._unanswered:
            turn = self._unanswered[-1]
            stages.item_id = turn.item_id
            self._unanswered.clear()
        self._answers[stages.response_id] = _Answer(stages, turn)
        self._bound(self._answers, self._answer_over)

    def _sounded(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        answer = self._answers.get(event.response_id)
        if answer is not None and self._plays and answer.stages.first_packet is None:
            answer.unheard = True

    def _playing(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        if (answer := self._answers.get(event.response_id)) is not None:
            answer.stages.first_packet, answer.unheard = now, False
            if answer.stages.ended is not None:
                self._answer_over(answer)

    def _done(self, now: float, effect: effects.Send) -> None:
        event: Any = effect.event
        if (answer := self._answers.get(event.response.id)) is None:
            return
        stages, response = answer.stages, event.response
        stages.ended, stages.status = now, response.status
        if (details := response.status_details) is not None:
            stages.reason = details.error.code if details.error else details.reason or None
        if response.usage is not None:
            stages.input_tokens = response.usage.input_tokens
            stages.output_tokens = response.usage.output_tokens
        if not answer.unheard:
            self._answer_over(answer)

    def _flushed(self, now: float, input: inputs.Flushed) -> None:
        """What was not heard by now never is."""
        for answer in list(self._answers.values()):
            answer.unheard = False
            if answer.stages.ended is not None:
                self._answer_over(answer)

    def _answer_over(self, answer: _Answer) -> None:
        stages, turn = answer.stages, answer.turn
        if self._answers.pop(stages.response_id, None) is None:
            return
        self._tell(lambda listener: listener.response(stages))
        if turn is not None:
            timings = timings_of(turn, stages)
            self._tell(lambda listener: listener.timings(timings))

    @staticmethod
    def _bound(open: dict[str, Any], over: Callable[[Any], None]) -> None:
        if len(open) > MAX_OPEN:
            over(next(iter(open.values())))


def _note(owner: Owner, job: JobStages) -> None:
    if len(owner.jobs) < MAX_JOBS:
        owner.jobs.append(job)


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
    inputs.Flushed: StageWatch._flushed,
}

_EFFECTS: dict[type, Any] = {
    effects.StartJob: StageWatch._start,
    effects.CancelJob: StageWatch._cancelled,
    ev.SessionCreated: StageWatch._configured,
    ev.SessionUpdated: StageWatch._configured,
    TranslationSessionCreated: StageWatch._configured,
    TranslationSessionUpdated: StageWatch._configured,
    ev.SpeechStarted: StageWatch._speech_started,
    ev.SpeechStopped: StageWatch._speech_stopped,
    ev.InputAudioBufferCommitted: StageWatch._committed,
    ev.InputAudioBufferCleared: StageWatch._cleared,
    ev.TimeoutTriggered: StageWatch._timed_out,
    ev.ResponseCreated: StageWatch._created,
    ev.OutputAudioDelta: StageWatch._sounded,
    ev.OutputAudioBufferStarted: StageWatch._playing,
    ev.ResponseDone: StageWatch._done,
}


__all__ = ["StageWatch"]
