"""``Session``: inputs in, effects out."""

from __future__ import annotations

from typing import Any

from vivavoz.session import foresight, inputs, listening, mcp, requests, results, rules, yielding
from vivavoz.session.checks import check_options
from vivavoz.session.conversation import Conversation
from vivavoz.session.effects import CancelJob, Effect, HangUp
from vivavoz.session.ids import Ids
from vivavoz.session.input_audio import InputAudio
from vivavoz.session.inputs import Input
from vivavoz.session.jobs import Jobs
from vivavoz.session.output import Output
from vivavoz.session.playout import Playout
from vivavoz.session.state import Settings, State
from vivavoz.session.turn import Turn
from vivavoz.wire.codec import pack, unpack
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import SessionOptions, session_object
from vivavoz.wire.server_events import OutputAudioBufferStarted, OutputAudioBufferStopped, SessionCreated


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
        times = (expiry, rules.idle_deadline(state), yielding.deadline(state))
        return min(time for time in times if time is not None)

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
        yielding.follow(state, out)
        mcp.resume(state, out)
        foresight.follow(state, out, input)
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


def _held(state: State, out: Output, input: inputs.Held) -> None:
    yielding.held(state, input.left_ms)


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
    inputs.AudioReceived: listening.audio_received,
    inputs.AudioScored: listening.audio_scored,
    inputs.Judged: listening.judged,
    inputs.Transcribed: listening.transcribed,
    inputs.Counted: results.counted,
    inputs.RepliedText: results.replied_text,
    inputs.RepliedCall: results.replied_call,
    inputs.RepliedUsage: results.replied_usage,
    inputs.RepliedFinish: results.replied_finish,
    inputs.Synthesized: results.synthesized,
    inputs.ToolsListed: results.tools_listed,
    inputs.ToolReturned: results.tool_returned,
    inputs.JobEnded: results.job_ended,
    inputs.JobFailed: results.job_failed,
    inputs.PlaybackStarted: _playback_started,
    inputs.PlaybackEnded: _playback_ended,
    inputs.Flushed: _flushed,
    inputs.Held: _held,
    inputs.Spent: _spent,
    inputs.TimePassed: _time_passed,
}
