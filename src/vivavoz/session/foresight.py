"""What the model will be asked if the caller says no more.

It may read that ahead while they speak. Once they are silent it may answer in secret, before it is sure that
the turn is over. Nothing depends on this: no event, id or item comes of it, and the real answer is asked for
as if it had never been. Whoever carries out the effects may have some of it by then.
"""

from __future__ import annotations

from vivavoz.session import asking, inputs
from vivavoz.session.effects import Discard, Prepare, Reply, Synthesize
from vivavoz.session.entry import Entry
from vivavoz.session.input_audio import to_samples
from vivavoz.session.inputs import Input
from vivavoz.session.output import Output
from vivavoz.session.state import Spoke, State
from vivavoz.session.turn import Phase
from vivavoz.wire.base import replace
from vivavoz.wire.client_events import InputAudioBufferAppend
from vivavoz.wire.codec import pack
from vivavoz.wire.items import InputAudio, Message
from vivavoz.wire.options import voice_name

SOFT_END_MS = 30
"""So much silence, a frame or two of any VAD, and the turn may be over."""

STALE_MS = 200
"""A draft that was made so long before the caller stopped lacks their last words."""

MAX_GUESSES = 8
"""How often the answer to one turn is begun in vain; after that its drafts are only read ahead."""


def drafted(state: State, out: Output, item_id: str, words: str) -> None:
    """The recogniser takes the open turn to be ``words`` so far."""
    if (spoke := state.spoke) is not None and spoke.item_id == item_id:
        spoke.draft, spoke.drafted = words, state.turn.scored
        _foresee(state, out, spoke)


def follow(state: State, out: Output, input: Input) -> None:
    """After every input: whether the caller has stopped or goes on, whether the answer would be another one,
    and whether it is still to come."""
    if (spoke := state.spoke) is not None:
        stopped, spoke.silent = spoke.silent, _silent(state)
        if spoke.silent and (not stopped or _may_change_it(input)) and _fresh(state, spoke):
            _foresee(state, out, spoke)
    if state.foreseen is not None and not _awaited(state, state.foreseen):
        _forget(state, out)


def _foresee(state: State, out: Output, spoke: Spoke) -> None:
    reply = _reply(state, spoke)
    if reply is None:
        _forget(state, out)
    elif spoke.silent and spoke.guesses < MAX_GUESSES:
        spoke.guesses += 1
        state.foreseen = spoke.item_id
        plan = asking.plan_of(state)
        speech = Synthesize(voice=voice_name(plan.voice), speed=plan.speed)
        out.do(Prepare(reply=reply, speech=speech if plan.modality == "audio" else None, soon=True))
    else:
        _forget(state, out)
        out.do(Prepare(reply=reply))


def _forget(state: State, out: Output) -> None:
    if state.foreseen is not None:
        state.foreseen = None
        out.do(Discard())


def _silent(state: State) -> bool:
    turn = state.turn
    return turn.phase is not Phase.LISTENING and turn.scored - turn.voiced >= to_samples(SOFT_END_MS)


def _fresh(state: State, spoke: Spoke) -> bool:
    """Whether little was said after the draft: a word more, and there will be another."""
    return state.turn.voiced - spoke.drafted <= to_samples(STALE_MS)


def _may_change_it(input: Input) -> bool:
    """Whether a client has said what a reply may depend on: anything but more sound."""
    return isinstance(input, inputs.Received) and not isinstance(input.event, InputAudioBufferAppend)


def _awaited(state: State, item_id: str) -> bool:
    """Whether the model may still be asked to answer that turn: the caller is silent, the recogniser has the
    last word yet to say, or what there is to read is being counted."""
    if state.spoke is not None and state.spoke.item_id == item_id:
        return state.spoke.silent
    entry, active = state.conversation.get(item_id), state.active
    understood = entry is None or entry.transcription is None
    return not understood or (active is not None and not active.asked)


def _reply(state: State, spoke: Spoke) -> Reply | None:
    """What the model would be asked if the turn ended here; None: nothing, or that is not known."""
    rule = state.options.audio.input.turn_detection
    if rule is None or not rule.create_response or not spoke.draft:
        return None
    if state.responses or state.answering:
        # What the model is asked next depends on what it says now.
        return None
    reply, _ = asking.preface(state, asking.plan_of(state), rounds=0, asking=True)
    item = Message(id=spoke.item_id, role="user", status="completed", content=[InputAudio(transcript=None)])
    entries = [entry for entry in state.conversation if not entry.dropped]
    heard = Entry(item=item, transcript=spoke.draft)
    items = [said for entry in entries for said in state.conversation.said(entry)] + heard.as_said()
    window = state.settings.window
    if window is not None and len(pack(items)) * state.tokens_per_byte >= window:
        return None
    return replace(reply, items=items)
