"""The engine ports' shapes as plain data for the socket, and back.

One method a port: ``transcribe``, ``reply``, ``synthesize``, ``judge``; and ``prepare``, ``count``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from vivavoz.engines.ports import (
    Counted,
    Finish,
    ReplyDelta,
    ReplyOptions,
    Speech,
    TextDelta,
    ToolCallDelta,
    Transcript,
    Usage,
)
from vivavoz.wire.base import UNSET
from vivavoz.wire.items import InputAudio, InputImage, Item, Message, OutputAudio

_DELTAS: dict[str, type[ReplyDelta]] = {
    "text": TextDelta,
    "tool": ToolCallDelta,
    "usage": Usage,
    "finish": Finish,
}
_TAGS = {kind: tag for tag, kind in _DELTAS.items()}


def lean(items: Sequence[Item]) -> list[Item]:
    """The items without sound and pictures: no engine process sees or hears them, and they are large."""
    return [_lean(item) for item in items]


def _lean(item: Item) -> Item:
    if not isinstance(item, Message):
        return item
    content = [
        msgspec.structs.replace(part, audio=UNSET) if isinstance(part, InputAudio | OutputAudio) else part
        for part in item.content
        if not isinstance(part, InputImage)
    ]
    return msgspec.structs.replace(item, content=content)


def encode_reply(items: Sequence[Item], options: ReplyOptions) -> Any:
    return msgspec.to_builtins([lean(items), options])


def decode_reply(data: Any) -> tuple[list[Item], ReplyOptions]:
    items, options = data
    return msgspec.convert(items, list[Item]), msgspec.convert(options, ReplyOptions)


def encode_delta(delta: ReplyDelta) -> Any:
    return [_TAGS[type(delta)], *msgspec.structs.astuple(delta)]


def decode_delta(data: Any) -> ReplyDelta:
    tag, *values = data
    return _DELTAS[tag](*values)


def encode_counted(counted: Counted) -> Any:
    return [counted.items, counted.instructions]


def decode_counted(data: Any) -> Counted:
    return Counted(*data)


def encode_transcript(transcript: Transcript) -> Any:
    return msgspec.to_builtins(transcript)


def decode_transcript(data: Any) -> Transcript:
    return msgspec.convert(data, Transcript)


def encode_speech(speech: Speech) -> Any:
    return [speech.pcm, speech.text]


def decode_speech(data: Any) -> Speech:
    return Speech(*data)
