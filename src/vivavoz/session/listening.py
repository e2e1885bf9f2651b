"""The caller's side: their sound comes in, is scored, judged and understood."""

from __future__ import annotations

from vivavoz.session import foresight, inputs, rules, transcripts, utterance
from vivavoz.session.effects import Score
from vivavoz.session.input_audio import to_samples
from vivavoz.session.jobs import Job, Kind
from vivavoz.session.output import Output
from vivavoz.session.state import State
from vivavoz.session.turn import COMPLETE, Heard
from vivavoz.wire.options import TurnDetection


def receive(state: State, out: Output, pcm: bytes) -> None:
    """Sound of the caller's, from an event or from the media path."""
    start = state.audio.append(pcm)
    if pcm and state.options.audio.input.turn_detection is not None:
        out.do(Score(pcm=pcm, start_sample=start))
    # Push to talk on a media transport, or a VAD that has stopped: sound keeps flowing, and what nobody
    # commits is forgotten in the end.
    state.audio.drop_before(state.audio.end - to_samples(state.settings.input_ms))


def audio_received(state: State, out: Output, input: inputs.AudioReceived) -> None:
    receive(state, out, input.pcm)


def audio_scored(state: State, out: Output, input: inputs.AudioScored) -> None:
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
    rules.interrupt_in_time(state, out, rule)
    _bound_turn(state, out, rule)
    utterance.forget(state)


def _bound_turn(state: State, out: Output, rule: TurnDetection) -> None:
    """A turn without end (a running fan, a radio) ends when it has the longest length that is kept."""
    if state.spoke and state.turn.scored - state.spoke.start >= to_samples(state.settings.input_ms):
        rules.speech_stopped(state, out, rule)


def judged(state: State, out: Output, input: inputs.Judged) -> None:
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


def transcribed(state: State, out: Output, input: inputs.Transcribed) -> None:
    job = state.jobs.get(input.job)
    if job is None:
        return
    if job.kind is Kind.REPLY:
        _heard_by_model(state, out, job, input)
    elif job.kind is not Kind.TRANSCRIBE:
        return
    elif input.draft:
        foresight.drafted(state, out, job.owner, input.text)
    elif not input.final:
        _say(state, job.owner, input.text)
        transcripts.hear(state, out, job.owner, input.text, input.logprobs)
    else:
        _understood(state, out, input)


def _understood(state: State, out: Output, input: inputs.Transcribed) -> None:
    owner = state.jobs.live[input.job].owner
    entry = state.conversation.get(owner)
    if entry is None:
        # The turn is still being spoken: a recogniser must not end before it is told to. Take it as words.
        _say(state, owner, input.text)
        transcripts.hear(state, out, owner, input.text)
        return
    state.jobs.end(input.job)
    transcripts.complete(state, out, entry, input.text, input.logprobs, input.segments)
    rules.begin_waiting(state, out)
    rules.answer(state, out)


def _say(state: State, owner: str, text: str) -> None:
    if (spoke := state.spoke) is not None and spoke.item_id == owner:
        spoke.said += text


def _heard_by_model(state: State, out: Output, job: Job, input: inputs.Transcribed) -> None:
    """A speech-to-speech model says what the caller said: the conversation's last turn."""
    if not input.final or state.responses.get(job.owner) is None:
        return
    for item_id in reversed(state.conversation.order):
        entry = state.conversation.entries[item_id]
        if entry.heard_ms and entry.transcript is None:
            transcripts.complete(state, out, entry, input.text, input.logprobs, input.segments)
            return


def transcription_over(state: State, out: Output, number: int, failure: tuple[str, str] | None) -> None:
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
