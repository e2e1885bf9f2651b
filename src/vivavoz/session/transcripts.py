"""What the caller said. The model always learns it; the client is told only where it asked for it."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoz.session.effects import Transcribe
from vivavoz.session.entry import Entry
from vivavoz.session.output import Output
from vivavoz.session.state import State
from vivavoz.wire.base import UNSET, UnsetType
from vivavoz.wire.items import InputAudio, Message
from vivavoz.wire.server_events import (
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionError,
    TranscriptionFailed,
    TranscriptionSegment,
    TranscriptionUsage,
)
from vivavoz.wire.transcription import LogProb, Segment

LOGPROBS = "item.input_audio_transcription.logprobs"


def task(state: State) -> Transcribe:
    """What the recogniser is asked for."""
    wanted = state.options.audio.input.transcription
    return Transcribe(options=wanted, logprobs=wanted is not None and _wants_logprobs(state))


def hear(state: State, out: Output, item_id: str, text: str, logprobs: list[LogProb] | None = None) -> None:
    """More words of a turn, perhaps before it is over."""
    if state.options.audio.input.transcription is not None and _deployed(state) and text:
        state.partial[item_id] = state.partial.get(item_id, "") + text
        _delta(state, out, item_id, text, logprobs)


def complete(
    state: State,
    out: Output,
    entry: Entry,
    text: str,
    logprobs: list[LogProb] | None = None,
    segments: Sequence[Segment] = (),
) -> None:
    """The whole transcript; authoritative."""
    entry.transcript, entry.transcription = text, None
    item_id = str(entry.item.id)
    told = state.partial.pop(item_id, "")
    if state.options.audio.input.transcription is None:
        return
    if not _deployed(state):
        # The model has heard it all the same, and answers (recorded).
        message = f"Input transcription failed for item '{item_id}'."
        _failed(out, entry, "DeploymentNotFound", message)
        return
    if text.startswith(told) and len(text) > len(told):
        # Which tokens make up a rest is not known; of a text that comes at once it is all of them.
        _delta(state, out, item_id, text[len(told) :], None if told else logprobs)
    if isinstance(entry.item, Message):
        content = [
            InputAudio(transcript=text) if isinstance(p, InputAudio) else p for p in entry.item.content
        ]
        entry.item = Message(id=item_id, role=entry.item.role, status=entry.item.status, content=content)
    index = audio_index(entry)
    for segment in segments:
        out.send(
            TranscriptionSegment,
            item_id=item_id,
            content_index=index,
            id=out.ids.next("seg"),
            text=segment.text,
            speaker=segment.speaker,
            start=segment.start,
            end=segment.end,
        )
    out.send(
        TranscriptionCompleted,
        item_id=item_id,
        content_index=index,
        transcript=text,
        logprobs=_shown(state, logprobs),
        usage=TranscriptionUsage(type="duration", seconds=-(-entry.heard_ms // 1000)),
    )


def fail(state: State, out: Output, entry: Entry, code: str, message: str) -> None:
    """It could not be understood; a response that needs it will fail for the same reason."""
    entry.transcription, entry.failure = None, (code, message)
    state.partial.pop(str(entry.item.id), None)
    if state.options.audio.input.transcription is not None:
        _failed(out, entry, code, message)


def audio_index(entry: Entry) -> int:
    """Which content part the caller's sound is."""
    if isinstance(entry.item, Message):
        for index, part in enumerate(entry.item.content):
            if isinstance(part, InputAudio):
                return index
    return 0


def _delta(state: State, out: Output, item_id: str, text: str, logprobs: list[LogProb] | None) -> None:
    entry = state.conversation.get(item_id)
    index = audio_index(entry) if entry is not None else 0
    out.send(
        TranscriptionDelta,
        item_id=item_id,
        content_index=index,
        delta=text,
        logprobs=_shown(state, logprobs),
    )


def _failed(out: Output, entry: Entry, code: str, message: str) -> None:
    out.send(
        TranscriptionFailed,
        item_id=str(entry.item.id),
        content_index=audio_index(entry),
        error=TranscriptionError(type="server_error", code=code, message=message),
    )


def _deployed(state: State) -> bool:
    """Whether there is a recogniser of the name that the client gave; most servers take any."""
    wanted = state.options.audio.input.transcription
    known = state.settings.transcribers
    return known is None or wanted is None or wanted.model is None or wanted.model in known


def _wants_logprobs(state: State) -> bool:
    return LOGPROBS in (state.options.include or ())


def _shown(state: State, logprobs: list[LogProb] | None) -> list[LogProb] | UnsetType:
    return logprobs if logprobs is not None and _wants_logprobs(state) else UNSET
