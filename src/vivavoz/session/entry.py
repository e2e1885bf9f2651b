"""One item of the conversation with what the wire does not show, and how a model sees it."""

from __future__ import annotations

from vivavoz.session.tools import model_name
from vivavoz.wire.base import Data
from vivavoz.wire.items import (
    AnyItem,
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)
from vivavoz.wire.mcp import McpApprovalRequest, McpCall, McpItem

_TEXT, _SOUND = (InputText, OutputText), (InputAudio, OutputAudio)


class Spoken(Data):
    """What an assistant item says: words, each with the sample after its last sound."""

    words: list[tuple[str, int]] = []
    samples: int = 0
    cut: bool = False
    """Truncated: what comes later is not part of the conversation."""

    def say(self, text: str, samples: int) -> None:
        if self.cut:
            return
        self.samples += samples
        self.words.append((text, self.samples))

    def truncate(self, samples: int) -> str:
        """Cut sound and words at ``samples``; returns the words that were heard. A chunk that was cut in the
        middle keeps the share of its words that its sound had."""
        heard: list[tuple[str, int]] = []
        before = 0
        for text, end in self.words:
            if end <= samples:
                heard.append((text, end))
            elif before < samples:
                heard.append((_share(text, (samples - before) / (end - before)), samples))
            before = end
        self.words, self.samples, self.cut = heard, min(samples, self.samples), True
        return "".join(text for text, _ in heard)


def _share(text: str, share: float) -> str:
    """The whole words within the first ``share`` of ``text``."""
    end = int(len(text) * share)
    if end >= len(text) or text[end : end + 1].isspace():
        return text[:end]
    return text[: text.rfind(" ", 0, end) + 1]


class Entry(Data):
    """One item with what the wire does not show."""

    item: AnyItem
    transcript: str | None = None
    """What the caller said, known to the model whether or not the client asked for a transcription."""
    transcription: int | None = None
    """The job that is still finding it out."""
    failure: tuple[str, str] | None = None
    """Why it could not be found out: code and message."""
    heard_ms: int = 0
    """The caller's sound in it (ms)."""
    audio: bytes = b""
    """That sound itself, kept only until a speech-to-speech model has heard it."""
    spoken: Spoken | None = None
    """The assistant's sound in it."""
    tokens: tuple[int, int] | None = None
    """What the model's engine has counted, after the size that it had then (bytes)."""
    dropped: bool = False
    """Left out of the model's context by a truncation."""

    def as_said(self) -> list[Item]:
        """The item as the model shall see it, what was spoken in its ``transcript``; empty: no words."""
        item = self.item
        if not isinstance(item, Message):
            return as_said(item)
        if self.transcript is not None:
            parts = [_heard(part, self.transcript) for part in item.content]
            item = Message(id=item.id, role=item.role, status=item.status, content=parts)
        return [item] if any(_said(part) for part in item.content) else []


def as_said(item: AnyItem) -> list[Item]:
    """What a model put out, as it shall see it. To a model the tools of an MCP server are functions."""
    if not isinstance(item, McpItem):
        return [item]
    if not isinstance(item, McpCall):
        return []
    if isinstance(item.output, str):
        return as_call(item, item.output)
    if item.error is not None:
        return as_call(item, f"Failed: {item.error.message}")
    return []


def as_call(item: McpCall | McpApprovalRequest, output: str) -> list[Item]:
    """A call of an MCP tool and what came of it, as those of functions are."""
    name = model_name(item.name)
    call = FunctionCall(id=item.id, call_id=item.id, name=name, arguments=item.arguments, status="completed")
    return [call, FunctionCallOutput(call_id=item.id, output=output)]


def _heard(part: ContentPart, transcript: str) -> ContentPart:
    return InputAudio(transcript=transcript) if isinstance(part, InputAudio) else part


def _said(part: ContentPart) -> bool:
    return isinstance(part, InputImage) or bool(words(part))


def words(part: ContentPart) -> str:
    """What is said in it."""
    if isinstance(part, _TEXT):
        return part.text
    if isinstance(part, _SOUND):
        return part.transcript if isinstance(part.transcript, str) else ""
    return ""
