"""``session.update``: a deep merge, and what follows from it."""

from __future__ import annotations

from vivavoz.session import mcp, rules, utterance
from vivavoz.session.checks import check_options
from vivavoz.session.output import Output
from vivavoz.session.state import State
from vivavoz.session.turn import Turn
from vivavoz.wire.base import UNSET, replace
from vivavoz.wire.client_events import SessionUpdate
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.merging import merge
from vivavoz.wire.options import SessionOptions, SessionPatch, model_of, session_object
from vivavoz.wire.server_events import SessionUpdated


def update(state: State, out: Output, event: SessionUpdate) -> None:
    """A deep merge; invalid: one error, nothing applied. Answered every time, even where nothing changed."""
    patch = event.session
    if state.settings.model_given and isinstance(patch, SessionPatch):
        # The model cannot change after creation. Clients repeat it (some, a default of their own), so
        # naming one is no error: it counts only where nobody has named one before.
        patch = replace(patch, model=UNSET)
    try:
        options = merge(state.options, patch)
        check_options(state.settings, options)
        mcp.check(state, options.tools, "tools")
        if state.voiced and options.audio.output.voice != state.options.audio.output.voice:
            raise ProtocolError(
                "Cannot update a conversation's voice if assistant audio is present.",
                code="cannot_update_voice",
                param="audio.output.voice",
            )
    except ProtocolError as error:
        raise error.under("session") from None
    if model_of(patch) is not None:
        state.settings = replace(state.settings, model_given=True)
    _switch_turn_detection(state, out, options)
    if options.truncation != state.options.truncation:
        state.conversation.restore()
    state.options = options
    out.send(SessionUpdated, session=session_object(options, state.id, state.settings.expires_at))
    if isinstance(patch, SessionPatch) and patch.tools is not UNSET:
        mcp.list_tools(state, out, options.tools)
    rules.answer(state, out)


def _switch_turn_detection(state: State, out: Output, options: SessionOptions) -> None:
    before, after = state.options.audio.input.turn_detection, options.audio.input.turn_detection
    if before is not None and after is None:
        utterance.abandon(state, out)
    elif before is None and after is not None:
        state.turn = Turn.listening(state.audio.end)
