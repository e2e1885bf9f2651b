"""The client events: one function each. A client's mistake raises :class:`ProtocolError` before anything has
changed."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from vivavoz.session import asking, images, mcp, rules, transcripts, utterance
from vivavoz.session.conversation import Entry, as_said, check_item, duplicate
from vivavoz.session.effects import FeedAudio, FinishJob, Flush, Score
from vivavoz.session.input_audio import SAMPLE_BYTES, to_ms, to_samples
from vivavoz.session.jobs import Kind
from vivavoz.session.output import Output
from vivavoz.session.plan import Plan
from vivavoz.session.state import Settings, State
from vivavoz.session.turn import Turn
from vivavoz.wire.base import UNSET, UnsetType, replace
from vivavoz.wire.client_events import (
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.items import ClientItem, FunctionCallOutput, InputAudio, Item, Message
from vivavoz.wire.mcp import McpApprovalResponse
from vivavoz.wire.options import (
    AudioFormat,
    Reasoning,
    SessionOptions,
    SessionPatch,
    check_modalities,
    check_tools,
    effort_of,
    merge,
    model_of,
    session_object,
    voice_name,
)
from vivavoz.wire.responses import InputMessage, ItemReference, ResponsePatch
from vivavoz.wire.server_events import (
    ConversationItemDeleted,
    ConversationItemRetrieved,
    ConversationItemTruncated,
    InputAudioBufferCleared,
    SessionUpdated,
)

MIN_COMMIT_MS = 100


# ------------------------------------------------------------------------------------- session


def session_update(state: State, out: Output, event: SessionUpdate) -> None:
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


def check_options(settings: Settings, options: SessionOptions) -> None:
    """What this server can do of what may be asked. Raises :class:`ProtocolError`, seen from the session."""
    check_voice(settings, options.audio.output.voice, "audio.output.voice")
    mcp.check_available(settings, options.tools, "tools")
    check_reasoning(settings, options.reasoning, "reasoning")
    if options.audio.input.noise_reduction is not None and not settings.reduces_noise:
        raise invalid_value(
            "This server cannot reduce noise: the package 'webrtc-noise-gain' is not installed. Supported "
            "value: null.",
            "audio.input.noise_reduction",
        )
    if options.include and not settings.logprobs:
        raise invalid_value(
            f"'{options.include[0]}' is not available: the recogniser of this server does not say how sure "
            "it is. Supported values: null and [].",
            "include",
        )


def check_reasoning(settings: Settings, reasoning: Reasoning | UnsetType | None, param: str) -> None:
    if effort_of(reasoning) is not None and not settings.reasons:
        raise invalid_value(
            "'reasoning' is not supported by this model: it does not let itself be told how long to think.",
            param,
        )


def check_voice(settings: Settings, voice: Any, param: str) -> None:
    name = voice_name(voice)
    if name not in settings.voices:
        known = [f"'{v}'" for v in settings.voices]
        raise invalid_value(
            f"Invalid value: '{name[:100]}'. Supported values are: {', '.join(known[:-1])} and {known[-1]}.",
            param,
        )


# ------------------------------------------------------------------------------------- input audio buffer


def append(state: State, out: Output, event: InputAudioBufferAppend) -> None:
    """ "Unlike other client events, the server will not send a confirmation"."""
    if len(event.audio) % SAMPLE_BYTES:
        raise invalid_value(
            "Invalid 'audio'. Expected 16-bit samples, but got an odd number of bytes.", "audio"
        )
    duration = state.audio.duration_ms + to_ms(len(event.audio) // SAMPLE_BYTES)
    if state.options.audio.input.turn_detection is None and duration > state.settings.input_ms:
        raise ProtocolError(
            f"Error appending input audio: the buffer would hold {duration:.0f}ms of uncommitted audio, "
            f"but at most {state.settings.input_ms}ms are kept. Commit or clear it first.",
            code="input_audio_buffer_full",
            param="audio",
        )
    receive(state, out, event.audio)


def receive(state: State, out: Output, pcm: bytes) -> None:
    """Sound of the caller's, from an event or from the media path."""
    start = state.audio.append(pcm)
    if pcm and state.options.audio.input.turn_detection is not None:
        out.do(Score(pcm=pcm, start_sample=start))
    # Push to talk on a media transport, or a VAD that has stopped: sound keeps flowing, and what nobody
    # commits is forgotten in the end.
    state.audio.drop_before(state.audio.end - to_samples(state.settings.input_ms))


def commit(state: State, out: Output, event: InputAudioBufferCommit) -> None:
    """Push to talk, or the end of a turn that the VAD is still following. Creates no response."""
    rule = state.options.audio.input.turn_detection
    if rule is None:
        duration = state.audio.duration_ms
    else:
        # What is buffered between turns belongs to nobody yet.
        duration = to_ms(state.audio.end - state.spoke.start) if state.spoke else 0.0
    if duration < MIN_COMMIT_MS:
        raise ProtocolError(
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but "
            f"buffer only has {duration:.2f}ms of audio.",
            code="input_audio_buffer_commit_empty",
        )
    rules.commit(state, out, state.audio.end)


def clear(state: State, out: Output, event: InputAudioBufferClear) -> None:
    utterance.abandon(state, out)
    state.audio.clear()
    out.send(InputAudioBufferCleared)
    rules.answer(state, out)


def output_clear(state: State, out: Output, event: OutputAudioBufferClear) -> None:
    """ "WebRTC/SIP only": stop what is being played; answered by ``output_audio_buffer.cleared``."""
    if not state.playout.enabled:
        raise ProtocolError(
            "'output_audio_buffer.clear' is only supported over WebRTC and SIP.",
            code="invalid_value",
            param="type",
        )
    if state.playout.busy:
        out.do(Flush())


# ------------------------------------------------------------------------------------- items


def item_create(state: State, out: Output, event: ConversationItemCreate) -> None:
    item = event.item
    if isinstance(item, McpApprovalResponse):
        mcp.check_approval(state, item)
    sound = _sound(item)
    after = event.previous_item_id if isinstance(event.previous_item_id, str) else None
    item = _named(item, out)
    if state.in_the_making(str(item.id)):
        raise duplicate(str(item.id))
    entry, previous = state.conversation.create(item, after, sees=state.settings.sees)
    if sound:
        _listen(state, out, entry, sound)
    rules.added(out, previous, entry.item)
    if isinstance(entry.item, McpApprovalResponse):
        mcp.decide(state, entry.item)


def _named(item: ClientItem, out: Output) -> ClientItem:
    """The item as the conversation keeps it: with an id and a status, without what clients merely repeat."""
    item_id = item.id if item.id is not UNSET else out.ids.next("item")
    members: dict[str, Any] = {"id": item_id, "object": UNSET}
    if isinstance(item, McpApprovalResponse):
        return replace(item, **members, reason=item.reason or UNSET)
    if item.status is UNSET and not isinstance(item, FunctionCallOutput):
        # An output is sent back without a status (recorded).
        members["status"] = "completed"
    if isinstance(item, Message):
        members["content"] = [
            InputAudio(transcript=part.transcript) if isinstance(part, InputAudio) else part
            for part in item.content
        ]
    elif item.call_id is UNSET:
        members["call_id"] = out.ids.next("call")
    return replace(item, **members)


def _sound(item: ClientItem) -> bytes:
    """The sound a client put into an item (mono s16le, 24 kHz by now)."""
    sound = b""
    if isinstance(item, Message):
        for index, part in enumerate(item.content):
            if isinstance(part, InputAudio) and isinstance(part.audio, str):
                where = f"item.content[{index}].audio"
                try:
                    pcm = b64decode(part.audio, validate=True)
                except (Base64Error, ValueError):
                    raise invalid_value(
                        f"Invalid '{where}'. Expected base64-encoded audio bytes.", where
                    ) from None
                if len(pcm) % SAMPLE_BYTES:
                    raise invalid_value(
                        f"Invalid '{where}'. Expected 16-bit samples, but got an odd number of bytes.", where
                    )
                sound += pcm
    return sound


def _listen(state: State, out: Output, entry: Entry, sound: bytes) -> None:
    entry.heard_ms = to_ms(len(sound) // SAMPLE_BYTES)
    if state.settings.plan == "converse":
        state.conversation.keep_audio(entry, sound)
        return
    task = transcripts.task(state)
    entry.transcription = state.jobs.start(out, Kind.TRANSCRIBE, str(entry.item.id), task)
    out.do(FeedAudio(job=entry.transcription, pcm=sound))
    out.do(FinishJob(job=entry.transcription))


def item_retrieve(state: State, out: Output, event: ConversationItemRetrieve) -> None:
    item = state.conversation.retrieve(event.item_id)
    out.send(ConversationItemRetrieved, item=images.shown(item))


def item_truncate(state: State, out: Output, event: ConversationItemTruncate) -> None:
    state.conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
    out.send(
        ConversationItemTruncated,
        item_id=event.item_id,
        content_index=event.content_index,
        audio_end_ms=event.audio_end_ms,
    )


def item_delete(state: State, out: Output, event: ConversationItemDelete) -> None:
    entry = state.conversation.get(event.item_id)
    state.conversation.delete(event.item_id)
    state.requests.pop(event.item_id, None)
    if entry is not None and entry.transcription is not None:
        state.jobs.cancel(out, entry.transcription)
        state.partial.pop(event.item_id, None)
    out.send(ConversationItemDeleted, item_id=event.item_id)
    rules.begin_waiting(state, out)
    rules.answer(state, out)


# ------------------------------------------------------------------------------------- responses


def response_create(state: State, out: Output, event: ResponseCreate) -> None:
    if state.options.type == "transcription":
        raise invalid_value("'response.create' is not available in transcription sessions.", "type")
    patch = event.response if isinstance(event.response, ResponsePatch) else ResponsePatch()
    out_of_band = patch.conversation == "none"
    try:
        plan = _plan(state, patch)
    except ProtocolError as error:
        raise error.under("response") from None
    active = state.active
    if active is not None and not out_of_band:
        raise ProtocolError(
            "Conversation already has an active response in progress: "
            f"{active.id}. Wait until the response is finished before creating a new one.",
            code="conversation_already_has_active_response",
        )
    if isinstance(patch.tools, list):
        mcp.list_tools(state, out, plan.tools)
    rules.respond(state, out, plan, out_of_band=out_of_band)


def response_cancel(state: State, out: Output, event: ResponseCancel) -> None:
    wanted = event.response_id
    response = state.responses.get(wanted) if isinstance(wanted, str) else state.active
    if response is None:
        raise ProtocolError(
            "Cancellation failed: no active response found", code="response_cancel_not_active"
        )
    rules.cancel(state, out, response, "client_cancelled")


def _plan(state: State, patch: ResponsePatch) -> Plan:
    """The session's wishes under the request's."""
    plan = asking.plan_of(state)
    for name in ("instructions", "tools", "tool_choice", "max_output_tokens", "metadata"):
        value = getattr(patch, name)
        if value is not UNSET and value is not None:
            setattr(plan, name, value)
    if isinstance(patch.parallel_tool_calls, bool):
        plan.parallel = patch.parallel_tool_calls
    if isinstance(patch.reasoning, Reasoning):
        check_reasoning(state.settings, patch.reasoning, "reasoning")
        plan.effort = effort_of(patch.reasoning)
    if isinstance(patch.output_modalities, list):
        check_modalities(patch.output_modalities, "output_modalities")
        plan.modalities = patch.output_modalities
    output = patch.audio.output if patch.audio is not UNSET and patch.audio is not None else UNSET
    if output is not UNSET:
        if isinstance(output.format, AudioFormat):
            plan.format = output.format
        if output.voice is not UNSET:
            check_voice(state.settings, output.voice, "audio.output.voice")
            plan.voice = output.voice
    check_tools(plan.tools, plan.tool_choice)
    mcp.check(state, plan.tools, "tools")
    if isinstance(patch.input, list):
        plan.input = [given for index, item in enumerate(patch.input) for given in _given(state, item, index)]
    return plan


def _given(state: State, item: Any, index: int) -> list[Item]:
    """One item of ``response.input``, as the model shall see it."""
    where = f"input[{index}]"
    if isinstance(item, ItemReference):
        entry = state.conversation.get(item.id)
        if entry is None:
            raise invalid_value(
                f"Invalid '{where}.id': the item with id '{item.id}' does not exist.", f"{where}.id"
            )
        return entry.as_said() or as_said(entry.item)
    if isinstance(item, InputMessage):
        item = Message(role=item.role, content=item.content, id=item.id, status=item.status)
    check_item(item, where, sees=state.settings.sees)
    return [item]


HANDLERS: dict[type, Any] = {
    SessionUpdate: session_update,
    InputAudioBufferAppend: append,
    InputAudioBufferCommit: commit,
    InputAudioBufferClear: clear,
    OutputAudioBufferClear: output_clear,
    ConversationItemCreate: item_create,
    ConversationItemRetrieve: item_retrieve,
    ConversationItemTruncate: item_truncate,
    ConversationItemDelete: item_delete,
    ResponseCreate: response_create,
    ResponseCancel: response_cancel,
}
