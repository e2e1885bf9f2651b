"""A call's state as a fold of its events: pure, bounded, and deaf to what it does not know.

The events are whatever a Realtime service sends: ours, a hosted one's, a later version's. Unknown events and
members are passed over, and so are members of the wrong type: nothing that a service says raises here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from vivavoz.app.observer.fields import identifier, integer, members, number, text
from vivavoz.app.observer.ports import Attachment, CallInfo, CallState, ErrorNote, Event, Gap
from vivavoz.app.observer.toolcalls import ToolCalls
from vivavoz.app.observer.transcript import Transcript
from vivavoz.app.observer.turns import Turns

MAX_ERRORS = 100
MAX_GAPS = 100
MAX_MESSAGE = 1000
"""Characters of an error's text."""
MAX_SESSION_BYTES = 256 * 1024
LAST_WORDS = 120
"""Characters of the summary's last words."""

_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_MAX_RESPONSES_COUNTED = 1000
_DETAILS = (
    ("input_text_tokens", "input_token_details", "text_tokens"),
    ("input_audio_tokens", "input_token_details", "audio_tokens"),
    ("input_image_tokens", "input_token_details", "image_tokens"),
    ("input_cached_tokens", "input_token_details", "cached_tokens"),
    ("output_text_tokens", "output_token_details", "text_tokens"),
    ("output_audio_tokens", "output_token_details", "audio_tokens"),
)


class CallFold:
    """``state`` is alive: it changes with each event, and is encoded when somebody asks for it."""

    def __init__(
        self, info: CallInfo, *, session: Mapping[str, Any] | None = None, owned: frozenset[str] = frozenset()
    ) -> None:
        """``session``: what was asked for, shown until the service tells. ``owned``: as in ToolCalls."""
        self.state = CallState(
            id=info.call_id,
            profile=info.profile,
            user=info.user,
            origin=info.origin,
            upstream=info.upstream,
            started_at=info.started_at,
            filtered=info.filtered,
            recorded=info.record,
            browser_reads_session=info.browser_reads_session,
            recording=info.call_id if info.record else None,
        )
        self.transcript = Transcript(self.state.transcript)
        self.turns = Turns(self.state.turns_log)
        self.tools = ToolCalls(self.state.tools, owned)
        self.speaking = False
        """Whether the caller is being heard."""
        self._counted: dict[str, None] = {}
        self._handlers = self._table()
        if session is not None:
            self._take_session(session)

    def apply(self, at: float, event: Event) -> None:
        """``at``: unix seconds, of the event's arrival."""
        kind = event.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(at, event)

    # ------------------------------------------------------------------------------------ the observer's own

    def observer(self, attachment: Attachment) -> None:
        self.state.observer = attachment

    def gap(self, since: float, until: float, reason: str) -> None:
        """What was going on before it may have ended in it."""
        self.turns.active.clear()
        self.speaking = False
        self.state.gaps.append(Gap(since=since, until=until, reason=reason))
        del self.state.gaps[:-MAX_GAPS]

    def ended(self, at: float, reason: str) -> None:
        self.state.status, self.state.ended_at, self.state.end_reason = "ended", at, reason[:MAX_MESSAGE]

    def note(self, at: float, code: str | None, message: str, param: str | None = None) -> None:
        short = message[:MAX_MESSAGE]
        self.state.errors.append(ErrorNote(at=at, code=code, message=short, param=param))
        del self.state.errors[:-MAX_ERRORS]

    def summarize(self) -> None:
        """Bring the summary's members up to date."""
        self.state.turns = self.turns.count
        words = (
            line.text for line in reversed(self.state.transcript) if line.kind == "message" and line.text
        )
        self.state.last_words = next(words, "")[-LAST_WORDS:]

    # ------------------------------------------------------------------------------------ events

    def _table(self) -> dict[str, Callable[[float, Event], None]]:
        lines, turns = self.transcript, self.turns
        return {
            "error": self._error,
            "session.created": self._session,
            "session.updated": self._session,
            "conversation.item.added": self._added,
            "conversation.item.created": self._added,
            "conversation.item.done": self._item_done,
            "conversation.item.retrieved": lines.retrieved,
            "conversation.item.deleted": lines.deleted,
            "conversation.item.truncated": self._truncated,
            f"{_TRANSCRIPTION}delta": lambda at, event: lines.transcribed(at, event, delta=True),
            f"{_TRANSCRIPTION}completed": self._transcribed,
            f"{_TRANSCRIPTION}failed": self._transcription_failed,
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "input_audio_buffer.timeout_triggered": turns.speech_stopped,
            "input_audio_buffer.committed": self._committed,
            "output_audio_buffer.started": self._playing,
            "output_audio_buffer.stopped": lines.played,
            "output_audio_buffer.cleared": self._silenced,
            "response.created": lambda at, event: turns.response_created(at, members(event, "response")),
            "response.done": self._response_done,
            "response.output_item.added": self._output_item,
            "response.output_item.done": self._output_item,
            "response.output_text.delta": partial(self._answered, "delta"),
            "response.output_text.done": partial(self._answered, "text"),
            "response.output_audio_transcript.delta": partial(self._answered, "delta"),
            "response.output_audio_transcript.done": partial(self._answered, "transcript"),
            "response.output_audio.delta": turns.sound,
            "response.function_call_arguments.done": self.tools.arguments_done,
            "vivavoz.turn.timings": lambda at, event: turns.timings(event),
        }

    def _error(self, at: float, event: Event) -> None:
        error = members(event, "error")
        code = identifier(error, "code") or identifier(error, "type")
        self.note(at, code, text(error, "message"), identifier(error, "param"))

    def _session(self, at: float, event: Event) -> None:
        self._take_session(members(event, "session"))

    def _take_session(self, session: Mapping[str, Any]) -> None:
        if len(msgspec.json.encode(session)) <= MAX_SESSION_BYTES:
            self.state.session = dict(session)
            heard = members(members(session, "audio"), "input")
            self.transcript.transcribes = bool(heard.get("transcription"))

    def _added(self, at: float, event: Event) -> None:
        self.transcript.added(at, event)
        self.tools.item(at, members(event, "item"))

    def _item_done(self, at: float, event: Event) -> None:
        self.transcript.done(at, event)
        self.tools.item(at, members(event, "item"))

    def _truncated(self, at: float, event: Event) -> None:
        self.transcript.truncated(at, event)
        self.turns.truncated(event)

    def _transcribed(self, at: float, event: Event) -> None:
        self.transcript.transcribed(at, event, delta=False)
        self.turns.transcribed(at, event)
        usage, sums = members(event, "usage"), self.state.usage
        sums.transcription_tokens += integer(usage, "total_tokens")
        sums.transcription_seconds += number(usage, "seconds")

    def _transcription_failed(self, at: float, event: Event) -> None:
        self.transcript.not_transcribed(at, event)
        self._error(at, event)

    def _speech_started(self, at: float, event: Event) -> None:
        self.speaking = True
        self.transcript.speech_started(at, event)

    def _speech_stopped(self, at: float, event: Event) -> None:
        self.speaking = False
        self.transcript.speech_stopped(at, event)
        self.turns.speech_stopped(at, event)

    def _committed(self, at: float, event: Event) -> None:
        self.transcript.committed(at, event)
        self.turns.committed(at, event)

    def _playing(self, at: float, event: Event) -> None:
        self.transcript.playing(at, event)
        self.turns.sound(at, event)

    def _silenced(self, at: float, event: Event) -> None:
        self.transcript.silenced(at, event)
        self.turns.silenced(event)

    def _output_item(self, at: float, event: Event) -> None:
        self.transcript.in_response(at, event)
        self.turns.item_added(event)
        self.tools.item(at, members(event, "item"), identifier(event, "response_id"))

    def _answered(self, name: str, at: float, event: Event) -> None:
        self.transcript.answered(event, name, delta=name == "delta")
        self.turns.words(at, event)

    def _response_done(self, at: float, event: Event) -> None:
        response = members(event, "response")
        self.turns.response_done(at, response)
        self.tools.response_done(response)
        response_id = identifier(response, "id") or ""
        if response_id in self._counted:
            return
        self._counted[response_id] = None
        if len(self._counted) > _MAX_RESPONSES_COUNTED:
            del self._counted[next(iter(self._counted))]
        self._count(members(response, "usage"))
        if text(response, "status") == "failed":
            error = members(members(response, "status_details"), "error")
            self.note(at, identifier(error, "code") or "response_failed", text(error, "message"))

    def _count(self, usage: Mapping[str, Any]) -> None:
        sums = self.state.usage
        sums.responses += 1
        sums.input_tokens += integer(usage, "input_tokens")
        sums.output_tokens += integer(usage, "output_tokens")
        sums.total_tokens += integer(usage, "total_tokens")
        for name, details, member in _DETAILS:
            setattr(sums, name, getattr(sums, name) + integer(members(usage, details), member))
