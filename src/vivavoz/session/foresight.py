"""What the model will be asked if the caller says no more. It may read that ahead: nothing depends on it."""

from __future__ import annotations

from vivavoz.session import asking
from vivavoz.session.effects import Prepare
from vivavoz.session.entry import Entry
from vivavoz.session.output import Output
from vivavoz.session.state import State
from vivavoz.wire.base import replace
from vivavoz.wire.codec import pack
from vivavoz.wire.items import InputAudio, Message


def foresee(state: State, out: Output, item_id: str, words: str) -> None:
    """The recogniser takes the open turn to be ``words`` so far."""
    spoke, rule = state.spoke, state.options.audio.input.turn_detection
    if spoke is None or spoke.item_id != item_id or rule is None or not rule.create_response or not words:
        return
    if state.responses or state.answering:
        # What the model is asked next depends on what it says now.
        return
    reply, _ = asking.preface(state, asking.plan_of(state), rounds=0, asking=True)
    item = Message(id=item_id, role="user", status="completed", content=[InputAudio(transcript=None)])
    entries = [entry for entry in state.conversation if not entry.dropped]
    heard = Entry(item=item, transcript=words)
    items = [said for entry in entries for said in state.conversation.said(entry)] + heard.as_said()
    window = state.settings.window
    if window is None or len(pack(items)) * state.tokens_per_byte < window:
        out.do(Prepare(reply=replace(reply, items=items)))
