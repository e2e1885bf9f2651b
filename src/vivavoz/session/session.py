"""``Session``: inputs in, effects out."""

from __future__ import annotations

from typing import Any

from vivavoz.session import (
    asking,
    context,
    foresight,
    inputs,
    listening,
    mcp,
    requests,
    rules,
    transcripts,
    utterance,
)
from vivavoz.session.checks import check_options
from vivavoz.session.conversation import Conversation
from vivavoz.session.effects import CancelJob, Effect, HangUp
from vivavoz.session.ids import Ids
from vivavoz.session.input_audio import InputAudio, to_samples
from vivavoz.session.inputs import Input
from vivavoz.session.jobs import Job, Jobs, Kind
from vivavoz.session.output import Output
from vivavoz.session.playout import Playout
from vivavoz.session.response import Response
from vivavoz.session.state import Settings, State
from vivavoz.session.turn import COMPLETE, Heard, Turn
from vivavoz.wire.codec import pack, unpack
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.mcp import ExecutionFailure
from vivavoz.wire.options import SessionOptions, TurnDetection, session_object
from vivavoz.wire.server_events import OutputAudioBufferStarted, OutputAudioBufferStopped, SessionCreated

MCP = (Kind.LIST_TOOLS, Kind.CALL_TOOL)


class Session:
    """One conversation. Pure: the same inputs at the same times give the same effects.

    ``step`` never raises for anything a client, an engine or a network can do. Times are seconds on any
    clock that does not go backwards.
    """

    def __init__(
        self,
        options: SessionOptions,
        ids: Ids,
        settings: Settings | None = None,
        session_id: str | None = None,
    ) -> None:
        """Raises :class:`ProtocolError` where ``options`` ask for what ``settings`` cannot give."""
        settings = settings or Settings()
        check_options(settings, options)
        self._state = State(
            id=session_id or ids.next("sess"),
            ids=ids,
            settings=settings,
            options=options,
            conversation=Conversation(id=ids.next("conv")),
            audio=InputAudio(),
            turn=Turn(),
            jobs=Jobs(),
            playout=Playout(),
        )

    @property
    def id(self) -> str:
        return self._state.id

    @property
    def conversation_id(self) -> str:
        return self._state.conversation.id

    @property
    def options(self) -> SessionOptions:
        """What is in force now."""
        return self._state.options

    @property
    def voiced(self) -> int:
        """The end of the last of the caller's frames that was speech, in samples."""
        return self._state.turn.voiced

    @property
    def deadline(self) -> float | None:
        """When the session wants to be told that time has passed; None: never."""
        state = self._state
        if state.began is None or state.ended:
            return None
        expiry = state.began + state.settings.duration_s
        idle = rules.idle_deadline(state)
        return expiry if idle is None else min(expiry, idle)

    def step(self, now: float, input: Input) -> list[Effect]:
        """What ``input`` means. The effects are to be carried out in order, before the next step."""
        state = self._state
        if state.ended:
            return []
        if state.began is None:
            state.began = now
        out = Output(state.ids, now)
        _HANDLERS[type(input)](state, out, input)
        if now >= state.began + state.settings.duration_s:
            _expire(state, out)
        elif (idle := rules.idle_deadline(state)) is not None and now >= idle:
            rules.idle_too_long(state, out)
        mcp.resume(state, out)
        return out.effects

    def dump(self) -> bytes:
        """The whole session as bytes. Nothing in it is executable."""
        return pack(self._state)

    @classmethod
    def load(cls, data: bytes) -> Session:
        """The session that was dumped; every later effect is what it would have been."""
        session = cls.__new__(cls)
        session._state = unpack(data, State)
        return session


# ------------------------------------------------------------------------------------- transports


def _attached(state: State, out: Output, input: inputs.Attached) -> None:
    """``session.created`` greets the client; an observer that joins is not greeted (recorded)."""
    if input.kind == "sideband":
        return
    state.playout.enabled = input.kind == "webrtc"
    session = session_object(state.options, state.id, state.settings.expires_at)
    out.send_to(input.sender, SessionCreated, session=session)
    mcp.list_tools(state, out, state.options.tools)


def _received(state: State, out: Output, input: inputs.Received) -> None:
    try:
        requests.HANDLERS[type(input.event)](state, out, input.event)
    except ProtocolError as error:
        event_id = input.event.event_id
        error.event_id = event_id if isinstance(event_id, str) else None
        out.error(error, input.sender)


def _refused(state: State, out: Output, input: inputs.Refused) -> None:
    error = ProtocolError(
        input.message, code=input.code, param=input.param, event_id=input.event_id, type=input.type
    )
    out.error(error, input.sender)


# ------------------------------------------------------------------------------------- the caller's sound


def _audio_received(state: State, out: Output, input: inputs.AudioReceived) -> None:
    listening.receive(state, out, input.pcm)


def _audio_scored(state: State, out: Output, input: inputs.AudioScored) -> None:
    rule = state.options.audio.input.turn_detection
    if rule is None or input.end_sample <= state.turn.scored:
        return
    heard = state.turn.hear(input.end_sample, input.probability, rule)
    if state.spoke is not None:
        utterance.feed(state, out, state.spoke, input.end_sample)
    match heard:
        case Heard.STARTED:
            rules.speech_started(state, out, rule)
        case Heard.PAUSED:
            rules.speech_paused(state, out, rule)
        case Heard.RESUMED:
            utterance.resume(state, out)
        case Heard.STOPPED:
            rules.speech_stopped(state, out, rule)
    _bound_turn(state, out, rule)
    utterance.forget(state)


def _bound_turn(state: State, out: Output, rule: TurnDetection) -> None:
    """A turn without end (a running fan, a radio) ends when it has the longest length that is kept."""
    if state.spoke and state.turn.scored - state.spoke.start >= to_samples(state.settings.input_ms):
        rules.speech_stopped(state, out, rule)


def _judged(state: State, out: Output, input: inputs.Judged) -> None:
    job = state.jobs.get(input.job)
    if job is None or job.kind is not Kind.JUDGE:
        return
    state.jobs.end(input.job)
    rule = state.options.audio.input.turn_detection
    if rule is None or state.spoke is None or state.spoke.judge != input.job:
        return
    state.spoke.judge = None
    if input.probability >= COMPLETE:
        rules.speech_stopped(state, out, rule)


def _transcribed(state: State, out: Output, input: inputs.Transcribed) -> None:
    job = state.jobs.get(input.job)
    if job is None:
        return
    if job.kind is Kind.REPLY:
        _heard_by_model(state, out, job, input)
    elif job.kind is not Kind.TRANSCRIBE:
        return
    elif input.draft:
        foresight.foresee(state, out, job.owner, input.text)
    elif not input.final:
        transcripts.hear(state, out, job.owner, input.text, input.logprobs)
    else:
        _understood(state, out, input)


def _understood(state: State, out: Output, input: inputs.Transcribed) -> None:
    owner = state.jobs.live[input.job].owner
    entry = state.conversation.get(owner)
    if entry is None:
        # The turn is still being spoken: a recogniser must not end before it is told to. Take it as words.
        transcripts.hear(state, out, owner, input.text)
        return
    state.jobs.end(input.job)
    transcripts.complete(state, out, entry, input.text, input.logprobs, input.segments)
    rules.begin_waiting(state, out)
    rules.answer(state, out)


def _heard_by_model(state: State, out: Output, job: Job, input: inputs.Transcribed) -> None:
    """A speech-to-speech model says what the caller said: the conversation's last turn."""
    if not input.final or state.responses.get(job.owner) is None:
        return
    for item_id in reversed(state.conversation.order):
        entry = state.conversation.entries[item_id]
        if entry.heard_ms and entry.transcript is None:
            transcripts.complete(state, out, entry, input.text, input.logprobs, input.segments)
            return


# ------------------------------------------------------------------------------------- the model's work


def _counted(state: State, out: Output, input: inputs.Counted) -> None:
    job = state.jobs.get(input.job)
    if job is None or job.kind is not Kind.COUNT:
        return
    state.jobs.end(input.job)
    if (response := state.response_of(job)) is not None:
        context.counted(state, response, input.items, input.instructions)
        response.job = None
        rules.begin(state, out, response)


def _not_counted(state: State, out: Output, number: int) -> None:
    """The engine cannot count now: no reason not to answer."""
    job = state.jobs.end(number)
    if job is not None and (response := state.response_of(job)) is not None:
        response.estimates, response.job = True, None
        rules.begin(state, out, response)


def _replied_text(state: State, out: Output, input: inputs.RepliedText) -> None:
    if (response := _response(state, input.job)) is not None:
        response.add_text(rules.stage(state, out), input.text)


def _replied_call(state: State, out: Output, input: inputs.RepliedCall) -> None:
    if (response := _response(state, input.job)) is not None:
        response.add_call(rules.stage(state, out), input.index, input.name, input.arguments)


def _replied_usage(state: State, out: Output, input: inputs.RepliedUsage) -> None:
    if (response := _response(state, input.job)) is not None:
        if response.asked:
            context.calibrate(state, response.asked[-1], input.input_tokens)
        read, written, cached = response.usage or (0, 0, 0)
        response.usage = (
            read + input.input_tokens,
            written + input.output_tokens,
            cached + input.cached_tokens,
        )


def _replied_finish(state: State, out: Output, input: inputs.RepliedFinish) -> None:
    response = _response(state, input.job)
    if response is not None and input.reason != "stop":
        response.finish = input.reason


def _synthesized(state: State, out: Output, input: inputs.Synthesized) -> None:
    if (response := _response(state, input.job)) is not None:
        audible = response.conversation_id is not None and response.plan.modality == "audio"
        state.voiced = state.voiced or audible
        response.add_speech(rules.stage(state, out), input.pcm, input.text)


def _response(state: State, job: int) -> Response | None:
    found = state.jobs.get(job)
    return state.response_of(found) if found is not None and found.kind is not Kind.COUNT else None


def _job_ended(state: State, out: Output, input: inputs.JobEnded) -> None:
    job = state.jobs.get(input.job)
    if job is None:
        return
    if job.kind is Kind.TRANSCRIBE:
        # Ended without a final transcript: nothing was understood.
        _transcription_over(state, out, input.job, None)
        return
    if job.kind in MCP:
        _tool_over(state, out, input.job, job, "It ended without a result.")
        return
    if job.kind is Kind.COUNT:
        _not_counted(state, out, input.job)
        return
    state.jobs.end(input.job)
    response = state.response_of(job)
    if response is None:
        return
    if job.kind is Kind.REPLY:
        response.end_reply()
    else:
        response.end_speech()
    if response.advance(rules.stage(state, out)):
        rules.complete(state, out, response)


def _job_failed(state: State, out: Output, input: inputs.JobFailed) -> None:
    job = state.jobs.get(input.job)
    if job is None:
        return
    if job.kind is Kind.TRANSCRIBE:
        _transcription_over(state, out, input.job, (input.code, input.message))
        return
    if job.kind in MCP:
        _tool_over(state, out, input.job, job, input.message)
        return
    if job.kind is Kind.COUNT:
        _not_counted(state, out, input.job)
        return
    state.jobs.end(input.job)
    if job.kind is Kind.JUDGE and state.spoke is not None:
        state.spoke.judge = None
    elif (response := state.response_of(job)) is not None:
        if job.kind is Kind.REPLY and input.code == asking.TOO_LONG and rules.shorten(state, out, response):
            return
        rules.fail(state, out, response, input.code, input.message)


def _transcription_over(state: State, out: Output, number: int, failure: tuple[str, str] | None) -> None:
    job = state.jobs.end(number)
    assert job is not None
    entry = state.conversation.get(job.owner)
    if entry is None:
        _failed_while_speaking(state, number, failure)
        return
    if failure is None:
        transcripts.complete(state, out, entry, "")
    else:
        transcripts.fail(state, out, entry, *failure)
    rules.begin_waiting(state, out)
    rules.answer(state, out)


def _failed_while_speaking(state: State, job: int, failure: tuple[str, str] | None) -> None:
    """The recogniser gave up in the middle of a turn: remembered until the turn is committed."""
    if state.spoke is not None and state.spoke.transcription == job:
        state.spoke.transcription = None
        state.spoke.failure = failure or ("audio_unintelligible", "The audio could not be transcribed.")


# ------------------------------------------------------------------------------------- MCP servers


def _tools_listed(state: State, out: Output, input: inputs.ToolsListed) -> None:
    job = state.jobs.get(input.job)
    if job is not None and job.kind is Kind.LIST_TOOLS:
        mcp.listed(state, out, input.job, job, input.tools)


def _tool_returned(state: State, out: Output, input: inputs.ToolReturned) -> None:
    job = state.jobs.get(input.job)
    if job is not None and job.kind is Kind.CALL_TOOL:
        mcp.returned(state, out, input.job, job, input.output, input.error)


def _tool_over(state: State, out: Output, number: int, job: Job, why: str) -> None:
    if job.kind is Kind.LIST_TOOLS:
        mcp.listed(state, out, number, job, None)
    else:
        mcp.returned(state, out, number, job, None, ExecutionFailure(message=why))


# ------------------------------------------------------------------------------------- playout


def _playback_started(state: State, out: Output, input: inputs.PlaybackStarted) -> None:
    if (response_id := state.playout.started(input.item_id)) is not None:
        out.send(OutputAudioBufferStarted, response_id=response_id)


def _playback_ended(state: State, out: Output, input: inputs.PlaybackEnded) -> None:
    if (response_id := state.playout.finished(input.item_id)) is not None:
        out.send(OutputAudioBufferStopped, response_id=response_id)
        rules.wait_for_caller(state, out, out.now)


def _flushed(state: State, out: Output, input: inputs.Flushed) -> None:
    rules.flushed(state, out, {played.item_id: played.samples for played in input.played})


def _spent(state: State, out: Output, input: inputs.Spent) -> None:
    rules.spent(state, out, input.limit, input.remaining, input.reset_seconds)


# ------------------------------------------------------------------------------------- time


def _time_passed(state: State, out: Output, input: inputs.TimePassed) -> None:
    """Nothing of its own: ``step`` looks at the clock."""


def _expire(state: State, out: Output) -> None:
    """ "Your session hit the maximum duration": the connection is closed with 1001."""
    minutes = state.settings.duration_s / 60
    state.ended = True
    for job in list(state.jobs.live):
        out.do(CancelJob(job=job))
    state.jobs.live.clear()
    reason = f"Your session hit the maximum duration of {minutes:g} minutes."
    out.do(HangUp(code=1001, reason=reason))


_HANDLERS: dict[type, Any] = {
    inputs.Attached: _attached,
    inputs.Received: _received,
    inputs.Refused: _refused,
    inputs.AudioReceived: _audio_received,
    inputs.AudioScored: _audio_scored,
    inputs.Judged: _judged,
    inputs.Transcribed: _transcribed,
    inputs.Counted: _counted,
    inputs.RepliedText: _replied_text,
    inputs.RepliedCall: _replied_call,
    inputs.RepliedUsage: _replied_usage,
    inputs.RepliedFinish: _replied_finish,
    inputs.Synthesized: _synthesized,
    inputs.ToolsListed: _tools_listed,
    inputs.ToolReturned: _tool_returned,
    inputs.JobEnded: _job_ended,
    inputs.JobFailed: _job_failed,
    inputs.PlaybackStarted: _playback_started,
    inputs.PlaybackEnded: _playback_ended,
    inputs.Flushed: _flushed,
    inputs.Spent: _spent,
    inputs.TimePassed: _time_passed,
}
