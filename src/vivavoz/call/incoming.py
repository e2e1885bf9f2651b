"""What a client's messages mean to the kind of session that it has."""

from __future__ import annotations

from typing import Protocol

import msgspec

from vivavoz.call.inbox import Message
from vivavoz.call.prompts import Prompts
from vivavoz.call.remote_tools import RemoteTools
from vivavoz.call.sound import InputDecoder
from vivavoz.session.inputs import Received, Refused
from vivavoz.session.translation.inputs import AnyInput, Asked
from vivavoz.wire.client_events import InputAudioBufferAppend
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.translation import TranslationAudioAppend, TranslationOptions, decode_translation_event

_SOUND = (InputAudioBufferAppend, TranslationAudioAppend)


class Incoming(Protocol):
    def read(self, message: Message, options: SessionOptions | TranslationOptions) -> AnyInput:
        """``options``: the session's, as they are now. Never raises: what is no event is refused."""
        ...


class RealtimeIncoming:
    """Of sessions that converse or transcribe: prompts filled in, credentials of tools taken out, sound made
    24 kHz PCM."""

    def __init__(self, prompts: Prompts | None = None, tools: RemoteTools | None = None) -> None:
        self._prompts = prompts or Prompts()
        self._tools = tools or RemoteTools()
        self._decoder = InputDecoder()

    def read(self, message: Message, options: SessionOptions | TranslationOptions) -> AnyInput:
        assert isinstance(options, SessionOptions)
        try:
            event = self._prompts.filled_event(decode_client_event(message.data))
        except ProtocolError as error:
            return refusal(error, message.sender)
        event = self._decoder.decode(event, options.audio.input.format)
        return Received(event=self._tools.sealed_event(event), sender=message.sender)


class TranslationIncoming:
    """Of sessions that translate."""

    def read(self, message: Message, options: SessionOptions | TranslationOptions) -> AnyInput:
        try:
            return Asked(event=decode_translation_event(message.data), sender=message.sender)
        except ProtocolError as error:
            return refusal(error, message.sender)


def refusal(error: ProtocolError, sender: str) -> Refused:
    """A client's mistake as something that happened to its session."""
    return Refused(
        sender=sender,
        type=error.type,
        code=error.code,
        message=error.message,
        param=error.param,
        event_id=error.event_id,
    )


def sound_of(input: AnyInput) -> bytes | None:
    """The sound that a client's event brings (24 kHz PCM)."""
    if isinstance(input, Received | Asked) and isinstance(event := input.event, _SOUND):
        return event.audio
    return None


def with_sound(input: AnyInput, pcm: bytes) -> AnyInput:
    """An input that :func:`sound_of` has sound of, with other sound."""
    assert isinstance(input, Received | Asked)
    event = input.event
    assert isinstance(event, _SOUND)
    changed: AnyInput = msgspec.structs.replace(input, event=msgspec.structs.replace(event, audio=pcm))
    return changed
