"""A client's sound in the session's one inner form: mono s16le at 24 kHz."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error

import msgspec

from vivavoz.media.g711 import LAWS, StreamDecoder
from vivavoz.wire.client_events import ClientEvent, ConversationItemCreate, InputAudioBufferAppend
from vivavoz.wire.items import InputAudio, Message
from vivavoz.wire.options import AudioFormat


class InputDecoder:
    """G.711 appended to the input buffer is one stream: its resampler remembers where it was."""

    def __init__(self) -> None:
        self._stream: tuple[str, StreamDecoder] | None = None

    def decode(self, event: ClientEvent, format: AudioFormat) -> ClientEvent:
        """The event with its sound as PCM. Sound that is not what it says it is stays as it was, for the
        session to refuse."""
        if format.type == "audio/pcm":
            return event
        if isinstance(event, InputAudioBufferAppend):
            return msgspec.structs.replace(event, audio=self._append(event.audio, format))
        if isinstance(event, ConversationItemCreate) and isinstance(event.item, Message):
            content = [
                _part(part, format) if isinstance(part, InputAudio) else part for part in event.item.content
            ]
            return msgspec.structs.replace(event, item=msgspec.structs.replace(event.item, content=content))
        return event

    def _append(self, data: bytes, format: AudioFormat) -> bytes:
        if self._stream is None or self._stream[0] != format.type:
            self._stream = (format.type, _decoder(format))
        return self._stream[1].decode(data)


def _part(part: InputAudio, format: AudioFormat) -> InputAudio:
    if not isinstance(part.audio, str):
        return part
    try:
        data = b64decode(part.audio, validate=True)
    except (Base64Error, ValueError):
        return part
    pcm = _decoder(format).decode(data)
    return InputAudio(audio=b64encode(pcm).decode(), transcript=part.transcript)


def _decoder(format: AudioFormat) -> StreamDecoder:
    return StreamDecoder(LAWS["pcmu" if format.type == "audio/pcmu" else "pcma"])
