"""``TranslationSession``: inputs in, effects out."""

from __future__ import annotations

from typing import Any

from vivavoz.session import inputs
from vivavoz.session.effects import CancelJob, Effect, EndAudio, HangUp
from vivavoz.session.ids import Ids
from vivavoz.session.input_audio import InputAudio
from vivavoz.session.output import Output
from vivavoz.session.translation import listening, telling
from vivavoz.session.translation.inputs import AnyInput, Asked
from vivavoz.session.translation.possible import check_options
from vivavoz.session.translation.state import Phrase, State, TranslationSettings
from vivavoz.session.turn import Turn
from vivavoz.wire.codec import pack, unpack
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.server_events import Error, ErrorEvent
from vivavoz.wire.translation import (
    SPOKEN_TAG,
    TranslationAudioAppend,
    TranslationOptions,
    TranslationSessionClose,
    TranslationSessionClosed,
    TranslationSessionCreated,
    TranslationSessionUpdate,
    TranslationSessionUpdated,
    merge_translation,
    translation_object,
)

CLOSED = 1000
EXPIRED = 1001
LINGER_S = 1.0
"""From ``session.closed`` to the end of a media transport, whose goodbye would overtake the event."""


class TranslationSession:
    """One speaker, translated into one language at a time. Pure: the same inputs at the same times give the
    same effects.

    ``step`` never raises for anything a client, an engine or a network can do. Times are seconds on any
    clock that does not go backwards.
    """

    conversation_id = ""
    """There is no conversation."""

    def __init__(
        self,
        options: TranslationOptions,
        ids: Ids,
        settings: TranslationSettings | None = None,
        session_id: str | None = None,
    ) -> None:
        """Raises :class:`ProtocolError` where ``options`` ask for what ``settings`` cannot give."""
        settings = settings or TranslationSettings()
        check_options(settings, options)
        self._state = State(
            id=session_id or ids.next("sess"),
            ids=ids,
            settings=settings,
            options=options,
            audio=InputAudio(),
            turn=Turn(),
        )

    @property
    def id(self) -> str:
        return self._state.id

    @property
    def options(self) -> TranslationOptions:
        """What is in force now."""
        return self._state.options

    @property
    def voiced(self) -> int:
        """The end of the last sound that was speech, in the caller's samples."""
        return self._state.turn.voiced

    @property
    def deadline(self) -> float | None:
        """When the session wants to be told that time has passed; None: never."""
        state = self._state
        if state.began is None or state.ended:
            return None
        times = [state.began + state.settings.duration_s]
        if state.closed is not None:
            times.append(state.closed + LINGER_S)
        elif state.closing is not None:
            times.append(state.closing + state.settings.drain_s)
        return min(times)

    def step(self, now: float, input: AnyInput) -> list[Effect]:
        """What ``input`` means. The effects are to be carried out in order, before the next step."""
        state = self._state
        if state.ended:
            return []
        if state.began is None:
            state.began = now
        out = Output(state.ids, now)
        if (handler := _HANDLERS.get(type(input))) is not None and state.closed is None:
            handler(state, out, input)
            telling.tell(state, out)
            listening.begin_waiting(state, out)
        _look_at_the_clock(state, out, now)
        return out.effects

    def dump(self) -> bytes:
        """The whole session as bytes. Nothing in it is executable."""
        return pack(self._state)

    @classmethod
    def load(cls, data: bytes) -> TranslationSession:
        """The session that was dumped; every later effect is what it would have been."""
        session = cls.__new__(cls)
        session._state = unpack(data, State)
        return session


# ------------------------------------------------------------------------------------- the client


def _attached(state: State, out: Output, input: inputs.Attached) -> None:
    """An observer that joins is not greeted, as in other sessions."""
    if input.kind == "sideband":
        return
    state.plays = input.kind == "webrtc"
    session = translation_object(state.options, state.id, state.settings.expires_at)
    out.send_to(input.sender, TranslationSessionCreated, session=session)


def _asked(state: State, out: Output, input: Asked) -> None:
    event = input.event
    try:
        if isinstance(event, TranslationSessionClose):
            _close(state, out)
        elif state.closing is not None:
            raise ProtocolError(
                "The session is closing: nothing can be sent after 'session.close'.",
                code="session_closing",
                param="type",
            )
        elif isinstance(event, TranslationAudioAppend):
            listening.append(state, out, event.audio)
        else:
            _update(state, out, event)
    except ProtocolError as error:
        error.event_id = event.event_id if isinstance(event.event_id, str) else None
        out.error(error, input.sender)


def _update(state: State, out: Output, event: TranslationSessionUpdate) -> None:
    """Invalid: one error, nothing applied. Another language counts from the next phrase on."""
    try:
        options = merge_translation(state.options, event.session)
        check_options(state.settings, options)
    except ProtocolError as error:
        raise error.under("session") from None
    if state.settings.continuous and options.audio.output != state.options.audio.output:
        listening.finish(state, out, state.audio.end)
    state.options = options
    session = translation_object(options, state.id, state.settings.expires_at)
    out.send(TranslationSessionUpdated, session=session)


def _close(state: State, out: Output) -> None:
    """What was said is still translated; what is asked twice is done once."""
    if state.closing is None:
        state.closing = out.now
        listening.finish(state, out, state.audio.end)


def _refused(state: State, out: Output, input: inputs.Refused) -> None:
    error = ProtocolError(
        input.message, code=input.code, param=input.param, event_id=input.event_id, type=input.type
    )
    out.error(error, input.sender)


# ------------------------------------------------------------------------------------- sound


def _audio_received(state: State, out: Output, input: inputs.AudioReceived) -> None:
    if state.closing is not None:
        return
    full = not listening.hear(state, out, input.pcm)
    if full and not state.full:
        _failed(
            out, "input_audio_buffer_full", "The translation is too far behind: some sound is being left out."
        )
    state.full = full


def _audio_scored(state: State, out: Output, input: inputs.AudioScored) -> None:
    listening.scored(state, out, input.end_sample, input.probability)


# ------------------------------------------------------------------------------------- the translator's work


def _transcribed(state: State, out: Output, input: inputs.Transcribed) -> None:
    phrase = state.phrase_of(input.job)
    if phrase is not None and not input.draft:
        telling.heard(phrase, input.text, input.final)


def _synthesized(state: State, out: Output, input: inputs.Synthesized) -> None:
    phrase = state.phrase_of(input.job)
    if phrase is not None and not telling.said(phrase, input.pcm, input.text):
        out.do(CancelJob(job=input.job))
        _over(state, out, phrase, ("translation_too_long", "A translation does not end: it is cut off."))


def _job_ended(state: State, out: Output, input: inputs.JobEnded) -> None:
    phrase = state.phrase_of(input.job)
    if phrase is None:
        return
    early = phrase.end is None and not state.settings.continuous
    _over(state, out, phrase, ("engine_ended", "The translator stopped in a phrase.") if early else None)


def _job_failed(state: State, out: Output, input: inputs.JobFailed) -> None:
    if (phrase := state.phrase_of(input.job)) is not None:
        _over(state, out, phrase, (input.code, input.message))


def _over(state: State, out: Output, phrase: Phrase, failure: tuple[str, str] | None) -> None:
    """The session lives on, whatever becomes of one phrase."""
    telling.over(phrase, failure is None)
    if state.settings.continuous and phrase.end is None:
        phrase.end = state.cut = phrase.fed
    if failure is not None:
        _failed(out, *failure)


def _failed(out: Output, code: str, message: str) -> None:
    detail = Error(type="server_error", code=code, message=message, param=None, event_id=None)
    out.send(ErrorEvent, error=detail)


# ------------------------------------------------------------------------------------- the end


def _playback_ended(state: State, out: Output, input: inputs.PlaybackEnded) -> None:
    if state.playing_out:
        _closed(state, out)


def _time_passed(state: State, out: Output, input: inputs.TimePassed) -> None:
    """Nothing of its own: ``step`` looks at the clock."""


def _look_at_the_clock(state: State, out: Output, now: float) -> None:
    assert state.began is not None
    if now >= state.began + state.settings.duration_s:
        minutes = state.settings.duration_s / 60
        listening.abandon(state, out)
        if state.closed is None:
            out.send(TranslationSessionClosed)
        _hang_up(state, out, EXPIRED, f"Your session hit the maximum duration of {minutes:g} minutes.")
    elif state.closed is not None:
        if now >= state.closed + LINGER_S:
            _hang_up(state, out, CLOSED, "The session was closed.")
    elif state.closing is not None:
        if now >= state.closing + state.settings.drain_s:
            _failed(out, "drain_timeout", "The rest of the translation took too long and is left out.")
            listening.abandon(state, out)
            _closed(state, out)
        elif not state.phrases and not state.playing_out:
            _drained(state, out)


def _drained(state: State, out: Output) -> None:
    if state.plays and state.sounded:
        state.playing_out = True
        out.do(EndAudio(item_id=SPOKEN_TAG))
    else:
        _closed(state, out)


def _closed(state: State, out: Output) -> None:
    out.send(TranslationSessionClosed)
    state.closed = out.now
    if not state.plays:
        _hang_up(state, out, CLOSED, "The session was closed.")


def _hang_up(state: State, out: Output, code: int, reason: str) -> None:
    state.ended = True
    out.do(HangUp(code=code, reason=reason))


_HANDLERS: dict[type, Any] = {
    inputs.Attached: _attached,
    Asked: _asked,
    inputs.Refused: _refused,
    inputs.AudioReceived: _audio_received,
    inputs.AudioScored: _audio_scored,
    inputs.Transcribed: _transcribed,
    inputs.Synthesized: _synthesized,
    inputs.JobEnded: _job_ended,
    inputs.JobFailed: _job_failed,
    inputs.PlaybackEnded: _playback_ended,
    inputs.TimePassed: _time_passed,
}
