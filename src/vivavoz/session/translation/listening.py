"""The caller's sound, cut into phrases; each is one job of the translator, begun while it is spoken.

A phrase ends at a pause, and the longer it has become the shorter a pause suffices, so that the translation
is never far behind somebody who speaks without a break. There is no turn: nobody is waited for, and nothing
the caller says interrupts what is being said. A translator that cuts for itself (``continuous``) gets all
sound as one long phrase, silence included.
"""

from __future__ import annotations

from vivavoz.session.effects import CancelJob, FeedAudio, FinishJob, Score, Translate
from vivavoz.session.input_audio import SAMPLE_BYTES, to_ms, to_samples
from vivavoz.session.output import Output
from vivavoz.session.translation.state import Phrase, State
from vivavoz.session.turn import Heard, padding_samples
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.options import ServerVad
from vivavoz.wire.translation import FRAME_MS

PAUSE_MS = 400
"""Ends a phrase."""
LONG_MS = 4_000
"""From this length on, SHORT_PAUSE_MS ends it: a breath."""
SHORT_PAUSE_MS = 160
LONGEST_MS = 10_000
"""Ends a phrase wherever it is."""
MAX_JOBS = 3
"""Phrases translated at the same time: one being heard, one written, one said. Further ones wait as sound."""

_PAUSE = ServerVad(silence_duration_ms=PAUSE_MS)
_SHORT_PAUSE = ServerVad(silence_duration_ms=SHORT_PAUSE_MS)


def append(state: State, out: Output, pcm: bytes) -> None:
    """Sound in an event. Raises :class:`ProtocolError` where it cannot be taken."""
    if state.plays:
        raise invalid_value(
            "'session.input_audio_buffer.append' is for WebSocket sessions: this one hears its track.", "type"
        )
    if len(pcm) % SAMPLE_BYTES:
        raise invalid_value(
            "Invalid 'audio'. Expected 16-bit samples, but got an odd number of bytes.", "audio"
        )
    if not _fits(state, pcm):
        raise ProtocolError(
            f"More than {state.settings.input_ms}ms of audio are waiting to be translated. This audio is not "
            "taken; send it again later, at the pace at which it is spoken.",
            code="input_audio_buffer_full",
            param="audio",
        )
    _receive(state, out, pcm)


def hear(state: State, out: Output, pcm: bytes) -> bool:
    """Sound of a media transport, which cannot be asked to wait. False: there is no room, it is left out."""
    if not _fits(state, pcm):
        return False
    _receive(state, out, pcm)
    return True


def scored(state: State, out: Output, end: int, probability: float) -> None:
    """One VAD frame, which ends at sample ``end``."""
    turn, phrase = state.turn, state.spoken
    if state.settings.continuous or state.closing is not None or end <= turn.scored:
        return
    heard = turn.hear(end, probability, _rule(state))
    if phrase is not None:
        _feed(state, out, phrase, end)
    match heard:
        case Heard.STARTED:
            _begin(state, out, turn.started - padding_samples(_PAUSE))
        case Heard.STOPPED:
            finish(state, out, end)
            turn.end(end)
        case _ if phrase is not None and end - phrase.start >= to_samples(LONGEST_MS):
            finish(state, out, end)
            _begin(state, out, end)
    _forget(state)


def finish(state: State, out: Output, end: int) -> None:
    """The phrase being spoken, if any, is complete."""
    phrase = state.spoken
    if phrase is None:
        return
    _feed(state, out, phrase, end)
    phrase.end = state.cut = end
    if phrase.job is not None:
        out.do(FinishJob(job=phrase.job))


def begin_waiting(state: State, out: Output) -> None:
    """Start the jobs of phrases that have waited for others."""
    busy = sum(phrase.job is not None for phrase in state.phrases)
    for phrase in state.phrases:
        if busy >= MAX_JOBS:
            return
        if phrase.begun:
            continue
        busy += 1
        phrase.begun = True
        transcription = state.options.audio.input.transcription
        task = Translate(
            model=state.options.model,
            language=phrase.language,
            transcription=transcription.model if transcription is not None else None,
            context=list(state.context),
        )
        phrase.job = out.start(task, state.id)
        until = phrase.fed
        phrase.fed = phrase.start
        _feed(state, out, phrase, until)
        if phrase.end is not None:
            out.do(FinishJob(job=phrase.job))
    _forget(state)


def abandon(state: State, out: Output) -> None:
    """Whatever is still being translated is no longer wanted."""
    for phrase in state.phrases:
        if phrase.job is not None:
            out.do(CancelJob(job=phrase.job))
    state.phrases.clear()


# ------------------------------------------------------------------------------------- inside


def _fits(state: State, pcm: bytes) -> bool:
    duration = state.audio.duration_ms + to_ms(len(pcm) // SAMPLE_BYTES)
    return duration <= state.settings.input_ms


def _receive(state: State, out: Output, pcm: bytes) -> None:
    if not pcm:
        return
    start = state.audio.append(pcm)
    if not state.settings.continuous:
        out.do(Score(pcm=pcm, start_sample=start))
        return
    # From where the stream before it ended, so that no part of a frame is lost between the two.
    phrase = state.spoken or _begin(state, out, state.cut)
    frame = to_samples(FRAME_MS)
    _feed(state, out, phrase, phrase.start + (state.audio.end - phrase.start) // frame * frame)
    if phrase.fed - phrase.start >= to_samples(state.settings.input_ms):
        # Bounds what waits for a translator that has stopped listening.
        finish(state, out, phrase.fed)
    _forget(state)


def _rule(state: State) -> ServerVad:
    phrase = state.spoken
    long = phrase is not None and state.turn.scored - phrase.start >= to_samples(LONG_MS)
    return _SHORT_PAUSE if long else _PAUSE


def _begin(state: State, out: Output, start: int) -> Phrase:
    """A phrase from ``start`` on, or from where there is sound that no phrase before it has."""
    start = max(start, state.cut, state.audio.start)
    language = state.options.audio.output.language
    phrase = Phrase(language=language, start=start, fed=max(start, state.turn.scored))
    state.phrases.append(phrase)
    begin_waiting(state, out)
    return phrase


def _feed(state: State, out: Output, phrase: Phrase, end: int) -> None:
    if phrase.job is not None and end > phrase.fed:
        out.do(FeedAudio(job=phrase.job, pcm=state.audio.slice(phrase.fed, end)))
    phrase.fed = max(phrase.fed, end)


def _forget(state: State) -> None:
    """Only sound that a job has not heard is kept, and what the next phrase may begin with."""
    turn = state.turn
    needed = [phrase.start for phrase in state.phrases if not phrase.begun]
    needed += [phrase.fed for phrase in state.phrases if phrase.begun and phrase.end is None]
    if state.settings.continuous:
        needed.append(state.cut if state.spoken is None else state.audio.end)
    elif state.spoken is None:
        needed.append(min(turn.started, turn.scored) - padding_samples(_PAUSE))
    state.audio.drop_before(max(0, min(needed)))
