"""Whether a caller who speaks over our voice wants it to stop: hold, decide, then yield or go on.

Only where playout is the server's and a recogniser listens (``barge_in = "hold"``, docs/turns.md). Our voice
is held as soon as the caller speaks, and nothing of it is lost. Words that are no back-channels, or speech
long enough, are an interruption as the protocol has it; anything else was none, and the voice goes on where
it was.
"""

from __future__ import annotations

from vivavoz.session import backchannels, rules
from vivavoz.session.effects import Flush, Hold, Release
from vivavoz.session.input_audio import to_samples
from vivavoz.session.output import Output
from vivavoz.session.state import Barge, State, Yielding

LONG_MS = 1_500
"""Speech of this length is an interruption whatever is in it; ``interrupt_after_ms`` may say otherwise."""

LAST_MS = 1_000
"""Where no more than this was left to hear, "yes" may be an answer: it is answered."""


def held(state: State, left_ms: int) -> None:
    """Our voice is silent; ``left_ms``: what it had still to say."""
    if state.barge is not None and state.barge.left_ms is None:
        state.barge.left_ms = left_ms


def follow(state: State, out: Output) -> None:
    """After every input: decide what can be decided, and hold or release our voice accordingly."""
    barge, wanted = state.barge, state.settings.yielding
    if barge is None or wanted is None:
        return
    rule = state.options.audio.input.turn_detection
    if rule is None or not rule.interrupt_response or not _saying(state):
        barge.over = True
    for item_id in list(barge.turns):
        real = _interrupts(state, wanted, item_id)
        if real:
            _yield(state, out, barge)
            return
        if real is not None:
            barge.turns.remove(item_id)
            if item_id in barge.unanswered and not _may_answer(state, barge, item_id):
                barge.unanswered.remove(item_id)
    if barge.turns:
        _hold_or_release(state, out, barge, wanted)
    else:
        _go_on(state, out, barge)


def deadline(state: State) -> float | None:
    """When our voice comes back unless something is understood before."""
    return state.barge.until if state.barge is not None else None


def _saying(state: State) -> bool:
    return state.active is not None or state.playout.busy


def _interrupts(state: State, wanted: Yielding, item_id: str) -> bool | None:
    """Whether this turn is an interruption; None: that is not known yet."""
    if (spoke := state.spoke) is not None and spoke.item_id == item_id:
        longest = to_samples(state.settings.interrupt_after_ms or LONG_MS)
        if state.turn.voiced - state.turn.started >= longest:
            return True
        said = spoke.draft or spoke.said
        return True if backchannels.telling(said, wanted.back_channels, open=True) >= wanted.words else None
    entry = state.conversation.get(item_id)
    if entry is None:
        return False  # thrown away
    if entry.transcription is not None:
        return None
    return backchannels.telling(entry.transcript or "", wanted.back_channels) >= wanted.words


def _may_answer(state: State, barge: Barge, item_id: str) -> bool:
    """Whether a back-channel came so near the end of what we said that it may answer it."""
    entry = state.conversation.get(item_id)
    near = barge.left_ms is not None and barge.left_ms <= LAST_MS and state.active is None
    return near and entry is not None and bool(entry.transcript)


def _hold_or_release(state: State, out: Output, barge: Barge, wanted: Yielding) -> None:
    speaking = state.spoke is not None and state.spoke.item_id in barge.turns
    if speaking and not barge.over and state.turn.voiced > barge.voiced:
        if barge.until is None:
            out.do(Hold())
        barge.voiced, barge.until = state.turn.voiced, out.now + wanted.resume_after_ms / 1000
    elif barge.until is not None and (barge.over or out.now >= barge.until):
        _release(out, barge)


def _release(out: Output, barge: Barge) -> None:
    if barge.until is not None:
        barge.until = None
        out.do(Release())


def _yield(state: State, out: Output, barge: Barge) -> None:
    """An interruption: from here on all is as if it had been one from the start. What is asked next waits
    until it is known what was heard."""
    state.barge = None
    state.answering += barge.unanswered
    if not barge.over:
        if state.playout.busy:
            state.flushing = True
            out.do(Flush())
        if (response := state.active) is not None and response.id == barge.response:
            rules.cancel(state, out, response, "turn_detected")
    _release(out, barge)
    rules.begin_waiting(state, out)
    rules.answer(state, out)


def _go_on(state: State, out: Output, barge: Barge) -> None:
    """It was none: our voice comes back, and nobody answers a back-channel."""
    state.barge = None
    _release(out, barge)
    state.answering += barge.unanswered
    rules.begin_waiting(state, out)
    rules.answer(state, out)
    if not state.playout.busy and state.idle is None:
        rules.wait_for_caller(state, out, out.now)
