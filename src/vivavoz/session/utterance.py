"""The turn being spoken: who listens to it, and how much of its sound is still wanted."""

from __future__ import annotations

from vivavoz.session.effects import FeedAudio, Judge
from vivavoz.session.input_audio import to_samples
from vivavoz.session.jobs import Kind
from vivavoz.session.output import Output
from vivavoz.session.state import Barge, Spoke, State
from vivavoz.session.turn import padding_samples

JUDGED_MS = 8_000
"""As much of the end of an utterance as a turn detector listens to."""


def feed(state: State, out: Output, spoke: Spoke, end: int) -> None:
    """Let the recogniser hear the turn as it is spoken, but nothing that may belong to the next."""
    if end > spoke.fed:
        if spoke.transcription is not None:
            out.do(FeedAudio(job=spoke.transcription, pcm=state.audio.slice(spoke.fed, end)))
        spoke.fed = end


def judge(state: State, out: Output, spoke: Spoke) -> None:
    """Ask the turn detector whether the caller has finished."""
    end = state.turn.scored
    pcm = state.audio.slice(max(spoke.start, end - to_samples(JUDGED_MS)), end)
    spoke.judge = state.jobs.start(out, Kind.JUDGE, spoke.item_id, Judge(pcm=pcm))


def resume(state: State, out: Output) -> None:
    """The caller goes on before the turn detector has answered."""
    if state.spoke is not None:
        state.jobs.cancel(out, state.spoke.judge)
        state.spoke.judge = None


def consider(state: State, spoke: Spoke) -> None:
    """It may be an interruption, or not: see :mod:`~vivavoz.session.yielding`."""
    barge = state.barge
    if barge is not None and not barge.over:
        barge.turns.append(spoke.item_id)
        return
    if barge is not None:
        state.answering += barge.unanswered
    active = state.active
    state.barge = Barge(turns=[spoke.item_id], response=active.id if active is not None else None)


def abandon(state: State, out: Output) -> None:
    """The open turn never was."""
    if state.spoke is not None:
        state.jobs.cancel(out, state.spoke.transcription)
        state.jobs.cancel(out, state.spoke.judge)
        state.partial.pop(state.spoke.item_id, None)
        state.spoke = None
    state.turn.end(state.turn.scored)


def forget(state: State) -> None:
    """While nobody speaks, only what a turn's prefix may need is kept."""
    rule = state.options.audio.input.turn_detection
    if rule is None:
        return
    keep = padding_samples(rule)
    if state.spoke is None:
        state.audio.drop_before(min(state.turn.started, state.turn.scored) - keep)
    elif state.settings.plan == "cascade":
        # The recogniser has heard it; only the turn detector still wants its last seconds.
        state.audio.drop_before(state.spoke.fed - to_samples(JUDGED_MS))
