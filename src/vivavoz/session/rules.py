"""The coupling rules: what a change in one machine means for the others. One short function each.

Quotations are from the Realtime reference and the guides of the hosted services, or name what their recorded
traffic shows.
"""

from __future__ import annotations

from vivavoz.session import asking, images, transcripts, utterance
from vivavoz.session.effects import FinishJob, Flush, Spend
from vivavoz.session.entry import Entry
from vivavoz.session.failures import RATE_LIMIT, failed
from vivavoz.session.input_audio import to_ms, to_samples
from vivavoz.session.jobs import Kind
from vivavoz.session.output import Output
from vivavoz.session.plan import Plan, Stage
from vivavoz.session.response import Response
from vivavoz.session.state import Idle, Spoke, State
from vivavoz.session.turn import padding_samples
from vivavoz.session.usage import usage_of
from vivavoz.wire.items import AnyItem, InputAudio, Message
from vivavoz.wire.options import ServerVad, TurnDetection
from vivavoz.wire.responses import ResponseStatus, StatusDetails
from vivavoz.wire.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemTruncated,
    InputAudioBufferCommitted,
    OutputAudioBufferCleared,
    RateLimit,
    RateLimitsUpdated,
    SpeechStarted,
    SpeechStopped,
    TimeoutTriggered,
)


def stage(state: State, out: Output) -> Stage:
    return Stage(out, state.conversation, state.playout, state.jobs, state.requests)


# ------------------------------------------------------------------------------------- the caller's turn


def speech_started(state: State, out: Output, rule: TurnDetection) -> None:
    """ "The server responds with ``input_audio_buffer.speech_started``"; its item id is used by everything
    that follows. "``interrupt_response``: automatically interrupt any ongoing response"."""
    start = max(state.turn.started - padding_samples(rule), state.audio.start)
    spoke = Spoke(item_id=out.ids.next("item"), start=start, fed=start)
    state.spoke, state.idle = spoke, None
    out.send(SpeechStarted, audio_start_ms=to_ms(start), item_id=spoke.item_id)
    if rule.interrupt_response and (state.active is not None or state.playout.busy):
        if state.considers():
            utterance.consider(state, spoke)
        else:
            spoke.interrupts_at = state.turn.started + to_samples(state.settings.interrupt_after_ms)
            interrupt_in_time(state, out, rule)
    if state.settings.plan == "cascade":
        task = transcripts.task(state)
        spoke.transcription = state.jobs.start(out, Kind.TRANSCRIBE, spoke.item_id, task)
        utterance.feed(state, out, spoke, state.turn.scored)


def speech_paused(state: State, out: Output, rule: TurnDetection) -> None:
    """Semantic VAD: ask whether the caller has finished; without a turn detector, take it so."""
    spoke = state.spoke
    if spoke is None:
        return
    if not state.settings.judges_turns:
        speech_stopped(state, out, rule)
        return
    utterance.judge(state, out, spoke)


def speech_stopped(state: State, out: Output, rule: TurnDetection) -> None:
    """``speech_stopped``, ``committed``, the item, and the answer. "``create_response``: automatically
    generate a response when a VAD stop event occurs"."""
    end = state.turn.scored
    out.send(SpeechStopped, audio_end_ms=to_ms(end), item_id=state.spoke.item_id if state.spoke else "")
    item_id = commit(state, out, end)
    if rule.create_response:
        barge = state.barge
        considered = barge is not None and item_id in barge.turns
        (barge.unanswered if barge is not None and considered else state.answering).append(item_id)
    answer(state, out)


def commit(state: State, out: Output, end: int) -> str:
    """Make the sound up to ``end`` a user item: the open turn's, or (push to talk) all that is buffered."""
    spoke, state.spoke = state.spoke, None
    if spoke is None:
        spoke = Spoke(item_id=out.ids.next("item"), start=state.audio.start, fed=state.audio.start)
        if state.settings.plan == "cascade":
            task = transcripts.task(state)
            spoke.transcription = state.jobs.start(out, Kind.TRANSCRIBE, spoke.item_id, task)
    state.jobs.cancel(out, spoke.judge)
    item = Message(id=spoke.item_id, role="user", status="completed", content=[InputAudio(transcript=None)])
    entry = Entry(item=item, transcription=spoke.transcription, heard_ms=to_ms(end - spoke.start))
    if state.settings.plan == "converse":
        state.conversation.keep_audio(entry, state.audio.slice(spoke.start, end))
    elif spoke.transcription is not None:
        utterance.feed(state, out, spoke, end)
        out.do(FinishJob(job=spoke.transcription))
    state.turn.end(end)
    state.audio.drop_before(end)
    previous = state.conversation.append(entry)
    out.send(InputAudioBufferCommitted, previous_item_id=previous, item_id=spoke.item_id)
    added(out, previous, item)
    if spoke.failure is not None:
        transcripts.fail(state, out, entry, *spoke.failure)
    return spoke.item_id


def added(out: Output, previous: str | None, item: AnyItem) -> None:
    item = images.shown(item)
    out.send(ConversationItemAdded, previous_item_id=previous, item=item)
    out.send(ConversationItemDone, previous_item_id=previous, item=item)


# ------------------------------------------------------------------------------------- answering it


def answer(state: State, out: Output) -> None:
    """Answer what was committed once it is understood and nothing else is being said.

    Turns without words (silence, noise, what a recogniser makes of them) are not answered, nor do they take
    the answer from the turn before them: a cough after a question is no reason to leave it open.
    """
    if not state.answering or state.active is not None or state.flushing or _interrupting(state):
        return
    turns = [entry for item_id in state.answering if (entry := state.conversation.get(item_id)) is not None]
    if any(entry.transcription is not None for entry in turns):
        return
    state.answering = []
    converses = state.settings.plan == "converse"
    if any(converses or entry.failure is not None or entry.transcript for entry in turns):
        respond(state, out, asking.plan_of(state))


def _interrupting(state: State) -> bool:
    """Whether the caller is saying something that a response would have to make way for at once."""
    rule = state.options.audio.input.turn_detection
    return state.spoke is not None and rule is not None and rule.interrupt_response


def respond(state: State, out: Output, plan: Plan, *, out_of_band: bool = False) -> None:
    """``response.created`` at once, before the model has thought: clients wait for it."""
    response = Response(
        id=out.ids.next("resp"),
        conversation_id=None if out_of_band else state.conversation.id,
        plan=plan,
        direct=state.settings.plan == "converse",
    )
    state.responses[response.id] = response
    if not out_of_band:
        state.answering, state.idle = [], None
        if state.barge is not None:
            # A client that asks for it while the caller speaks has decided; else it answers what was said.
            state.barge.unanswered = []
            state.barge.over = state.barge.over or state.spoke is not None
    response.create(stage(state, out))
    begin(state, out, response)


def begin_waiting(state: State, out: Output) -> None:
    """Something was understood: responses that waited for it may begin."""
    for response in list(state.responses.values()):
        if response.job is None and not response.replied:
            begin(state, out, response)


def begin(state: State, out: Output, response: Response) -> None:
    """Ask the model; where it cannot be asked, the response has failed."""
    if (failure := asking.ask(state, out, response)) is not None:
        fail(state, out, response, *failure)


# ------------------------------------------------------------------------------------- ending it


def interrupt_in_time(state: State, out: Output, rule: TurnDetection) -> None:
    """Once the caller has spoken for long enough, whatever was being said as they began ends."""
    spoke = state.spoke
    if spoke is None or spoke.interrupts_at is None or state.turn.voiced < spoke.interrupts_at:
        return
    spoke.interrupts_at = None
    if rule.interrupt_response:
        interrupt(state, out)


def interrupt(state: State, out: Output) -> None:
    """Barge-in: the response in progress ends, and where playout is the server's, silence falls at once."""
    if state.playout.busy:
        out.do(Flush())
    if (response := state.active) is not None:
        cancel(state, out, response, "turn_detected")


def cancel(state: State, out: Output, response: Response, reason: str) -> None:
    details = StatusDetails(
        type="cancelled", reason="turn_detected" if reason == "turn_detected" else "client_cancelled"
    )
    end(state, out, response, "cancelled", details)


MAX_SHORTENED = 8
"""How often one reply is asked for again, with less of the conversation."""


def fail(state: State, out: Output, response: Response, code: str, message: str) -> None:
    end(state, out, response, "failed", failed(code, message))


def shorten(state: State, out: Output, response: Response) -> bool:
    """The model found its input too long, although it was not expected to be: ask again with less of the
    conversation, where it may be truncated. Whether that was done."""
    if not response.silent:
        return False
    refused = response.asked.pop()
    disabled = state.options.truncation == "disabled"
    if disabled or response.direct or response.shortened >= MAX_SHORTENED:
        return False
    response.shortened, response.job = response.shortened + 1, None
    response.budget = refused.after_instructions * 3 // 4
    begin(state, out, response)
    return True


def complete(state: State, out: Output, response: Response) -> None:
    if response.finish is not None:
        end(state, out, response, "incomplete", StatusDetails(type="incomplete", reason=response.finish))
    elif response.goes_on:
        response.next_round()
        begin(state, out, response)
    else:
        end(state, out, response, "completed", None)


def end(
    state: State, out: Output, response: Response, status: ResponseStatus, details: StatusDetails | None
) -> None:
    """``response.done`` is "always emitted, no matter the final state". Then a waiting turn is answered."""
    del state.responses[response.id]
    usage = usage_of(response, state.tokens_per_byte)
    response.done(stage(state, out), status, details, usage)
    if response.conversation_id is not None and not state.playout.busy:
        # Where playout is the client's, it has just begun: "response.done time plus playback duration".
        unheard_s = 0.0 if state.playout.enabled else to_ms(response.said_samples) / 1000
        wait_for_caller(state, out, out.now + unheard_s)
    if state.settings.rated == "no":
        answer(state, out)
        return
    refused = isinstance(details, StatusDetails) and details.error and details.error.code == RATE_LIMIT
    out.do(Spend(tokens=0 if refused else usage.total_tokens))


def spent(state: State, out: Output, limit: int, remaining: int, reset_seconds: float) -> None:
    """``rate_limits.updated`` comes between ``response.done`` and what follows it (recorded)."""
    if state.settings.rated == "told":
        left = RateLimit(name="tokens", limit=limit, remaining=remaining, reset_seconds=reset_seconds)
        out.send(RateLimitsUpdated, rate_limits=[left])
    answer(state, out)


def flushed(state: State, out: Output, played: dict[str, int]) -> None:
    """ "The server will automatically truncate unplayed audio when there's a user interruption"."""
    for response_id in state.playout.flush():
        out.send(OutputAudioBufferCleared, response_id=response_id)
    for item_id, samples in played.items():
        entry = state.conversation.get(item_id)
        if entry is None or entry.spoken is None or entry.spoken.samples <= samples:
            continue
        state.conversation.cut(entry, samples)
        out.send(ConversationItemTruncated, item_id=item_id, content_index=0, audio_end_ms=to_ms(samples))
    if state.flushing:
        state.flushing = False
        begin_waiting(state, out)
        answer(state, out)


# ------------------------------------------------------------------------------------- silence


def wait_for_caller(state: State, out: Output, since: float) -> None:
    """The model has been heard to its end; from now on the caller's silence counts."""
    if state.spoke is None and state.active is None:
        state.idle = Idle(since=since, sample=state.audio.end)


def idle_deadline(state: State) -> float | None:
    rule = state.options.audio.input.turn_detection
    if state.idle is None or not isinstance(rule, ServerVad) or rule.idle_timeout_ms is None:
        return None
    return state.idle.since + rule.idle_timeout_ms / 1000


def idle_too_long(state: State, out: Output) -> None:
    """ "The empty audio will be committed to the conversation as an ``input_audio`` item … and a model
    response will be generated"."""
    idle, state.idle = state.idle, None
    if idle is None:
        return
    item_id = out.ids.next("item")
    start, end = idle.sample, state.audio.end
    out.send(TimeoutTriggered, audio_start_ms=to_ms(start), audio_end_ms=to_ms(end), item_id=item_id)
    item = Message(id=item_id, role="user", status="completed", content=[InputAudio(transcript=None)])
    previous = state.conversation.append(Entry(item=item, transcript="", heard_ms=to_ms(end - start)))
    out.send(InputAudioBufferCommitted, previous_item_id=previous, item_id=item_id)
    added(out, previous, item)
    respond(state, out, asking.plan_of(state))
