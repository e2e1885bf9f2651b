"""Translation sessions (Realtime reference, "Translations"): their options, events and client secrets.

They share ``error``, noise reduction and the shape of client secrets with the other sessions, and nothing
else: no conversation, no turns, no responses, no tools. ``type`` may be absent wherever a client names a
session, because the reference has none there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from vivavoz.wire import client_events
from vivavoz.wire.base import UNSET, Closed, ClosedFixed, Data, Fixed, UnsetType
from vivavoz.wire.codec import decode, decode_event
from vivavoz.wire.errors import invalid_value, missing
from vivavoz.wire.options import AnyPatch, NoiseReduction
from vivavoz.wire.rest import ExpiresAfter
from vivavoz.wire.server_events import ErrorEvent, ServerEvent

EventId = client_events.EventId
FRAME_MS = 200
"""Translation goes on in frames of this length (reference, ``session.input_audio_buffer.append``)."""

SPOKEN_TAG = "translation"
"""What a media transport calls the translated sound, which belongs to no item."""

# ------------------------------------------------------------------------------------- options


class SourceTranscription(ClosedFixed, frozen=True):
    model: Annotated[str, Meta(min_length=1, max_length=256)]


class TranslationInputPatch(Closed):
    transcription: SourceTranscription | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET


class TranslationOutputPatch(Closed):
    language: Annotated[str, Meta(min_length=1, max_length=35)] | UnsetType = UNSET


class TranslationAudioPatch(Closed):
    input: TranslationInputPatch | UnsetType = UNSET
    output: TranslationOutputPatch | UnsetType = UNSET


class TranslationPatch(Closed, omit_defaults=True, tag_field="type", tag="translation"):
    """What a client asks for: every member may be absent, ``model`` at creation excepted."""

    model: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    audio: TranslationAudioPatch | UnsetType = UNSET


class TranslationInput(Fixed, frozen=True):
    transcription: SourceTranscription | None = None
    noise_reduction: NoiseReduction | None = None


class TranslationOutput(Fixed, frozen=True):
    language: str


class TranslationAudio(Fixed, frozen=True):
    input: TranslationInput
    output: TranslationOutput


class TranslationOptions(Fixed, frozen=True):
    """What is in force."""

    model: str
    audio: TranslationAudio


class TranslationObject(Fixed, frozen=True, tag_field="type", tag="translation"):
    id: str
    expires_at: int
    model: str
    audio: TranslationAudio


def translation_object(options: TranslationOptions, session_id: str, expires_at: int) -> TranslationObject:
    """The wire's session object. ``expires_at``: Unix seconds."""
    return TranslationObject(id=session_id, expires_at=expires_at, model=options.model, audio=options.audio)


def effective_translation(patch: TranslationPatch | None, model: str, language: str) -> TranslationOptions:
    """The options that a new session starts with; ``language`` where the client names none."""
    audio = TranslationAudio(input=TranslationInput(), output=TranslationOutput(language=language))
    options = TranslationOptions(model=model, audio=audio)
    return merge_translation(options, patch) if patch is not None else options


def merge_translation(options: TranslationOptions, patch: TranslationPatch) -> TranslationOptions:
    """A deep merge: what is absent stays, null turns off. Raises :class:`ProtocolError` where ``patch`` names
    another model."""
    if patch.model is not UNSET and patch.model != options.model:
        raise invalid_value("The model of a translation session cannot be changed.", "model")
    merged: TranslationOptions = _merge(options, patch)
    return merged


def overlay_translation(below: TranslationPatch, above: TranslationPatch) -> TranslationPatch:
    """``below`` as ``above`` changes it."""
    merged: TranslationPatch = _merge(below, above)
    return merged


def _merge(base: Any, patch: Any) -> Any:
    changes: dict[str, Any] = {}
    for name in patch.__struct_fields__:
        value = getattr(patch, name)
        if value is UNSET:
            continue
        nested = isinstance(value, TranslationAudioPatch | TranslationInputPatch | TranslationOutputPatch)
        below = getattr(base, name)
        changes[name] = _merge(below, value) if nested and below is not UNSET else value
    return msgspec.structs.replace(base, **changes)


# ------------------------------------------------------------------------------------- client events


class TranslationSessionUpdate(Closed, tag_field="type", tag="session.update"):
    session: TranslationPatch
    event_id: EventId = UNSET


class TranslationAudioAppend(Closed, tag_field="type", tag="session.input_audio_buffer.append"):
    audio: bytes
    """Base64 on the wire: PCM16, mono, 24 kHz."""
    event_id: EventId = UNSET


class TranslationSessionClose(Closed, tag_field="type", tag="session.close"):
    event_id: EventId = UNSET


TranslationClientEvent = TranslationSessionUpdate | TranslationAudioAppend | TranslationSessionClose

_client_event: msgspec.json.Decoder[TranslationClientEvent] = msgspec.json.Decoder(TranslationClientEvent)


def decode_translation_event(data: str | bytes) -> TranslationClientEvent:
    """One client event. Raises :class:`ProtocolError`, as for the other sessions' events."""
    return decode_event(data, _client_event, TranslationClientEvent)


# ------------------------------------------------------------------------------------- server events


class TranslationSessionCreated(Data, tag_field="type", tag="session.created"):
    event_id: str
    session: TranslationObject


class TranslationSessionUpdated(Data, tag_field="type", tag="session.updated"):
    event_id: str
    session: TranslationObject


class TranslationSessionClosed(Data, tag_field="type", tag="session.closed"):
    event_id: str


class SourceTranscriptDelta(Data, tag_field="type", tag="session.input_transcript.delta"):
    """``elapsed_ms``, here and below: how much of the caller's sound this was made from, in whole frames."""

    event_id: str
    delta: str
    elapsed_ms: int


class TranslatedTranscriptDelta(Data, tag_field="type", tag="session.output_transcript.delta"):
    event_id: str
    delta: str
    elapsed_ms: int


class TranslatedAudioDelta(Data, tag_field="type", tag="session.output_audio.delta"):
    event_id: str
    delta: bytes
    elapsed_ms: int
    sample_rate: int = 24_000
    channels: int = 1
    format: Literal["pcm16"] = "pcm16"


TranslationServerEvent = (
    ErrorEvent
    | TranslationSessionCreated
    | TranslationSessionUpdated
    | TranslationSessionClosed
    | SourceTranscriptDelta
    | TranslatedTranscriptDelta
    | TranslatedAudioDelta
)

AnyServerEvent = ServerEvent | TranslationServerEvent
"""What a call of either kind sends."""


# ------------------------------------------------------------------------------------- client secrets


class TranslationSecretRequest(Closed):
    session: TranslationPatch
    expires_after: ExpiresAfter | UnsetType | None = UNSET

    @property
    def expires_after_seconds(self) -> int | None:
        """What the client asked for, or None."""
        return self.expires_after.seconds if isinstance(self.expires_after, ExpiresAfter) else None


class TranslationSecret(Data):
    value: str
    expires_at: int
    session: TranslationObject


def decode_kept_session(data: bytes) -> AnyPatch | TranslationPatch:
    """The session of a client secret, of either kind. Raises :class:`ProtocolError`."""
    patch: AnyPatch | TranslationPatch = decode(data, cast(Any, AnyPatch | TranslationPatch))
    return patch


def decode_translation_secret_request(body: bytes) -> TranslationSecretRequest:
    """Raises :class:`ProtocolError`; the session and its model are required (reference)."""
    asked = decode(body, TranslationSecretRequest)
    if asked.session.model is UNSET:
        raise missing("session.model")
    return asked
