"""Conversation items as chat messages: one conversion for every language model that speaks chat completions.

Pure functions. The output is the request format of OpenAI's chat completions, kept to the part that
strict servers accept too: a message is never empty, tool calls stand directly before their outputs, every
call has an output and every output a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vivavoz.wire.base import is_set
from vivavoz.wire.items import (
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

ChatMessage = dict[str, Any]

NO_OUTPUT = "(no output yet)"
"""What stands for the output of a call that the client has not answered: servers insist on one."""


def to_chat(items: Sequence[Item], instructions: str = "", *, images: bool = True) -> list[ChatMessage]:
    """The messages that continue ``items`` (oldest first), led by ``instructions`` as the system message.

    * Spoken parts stand as their transcript; a part or item without words is skipped.
    * ``function_call`` items next to each other (and the assistant message before them) become one assistant
      message with ``tool_calls``; each ``function_call_output`` moves to right behind its call. An output
      whose call is not in ``items`` is left out, a call without output gets :data:`NO_OUTPUT`, and a call
      that was cut off (``incomplete``, no output) is left out.
    * Images become ``image_url`` parts, or are left out where ``images`` is False.
    """
    outputs = {item.call_id: item.output for item in items if isinstance(item, FunctionCallOutput)}
    messages: list[ChatMessage] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    calls: list[FunctionCall] = []
    for item in items:
        match item:
            case FunctionCall():
                if item.status != "incomplete" or call_id(item) in outputs:
                    calls.append(item)
            case FunctionCallOutput():
                # Between two calls of one reply it must not break their group; it was taken from `outputs`.
                continue
            case Message():
                content = _content(item, images)
                if content:
                    _close_calls(messages, calls, outputs)
                    messages.append({"role": item.role, "content": content})
    _close_calls(messages, calls, outputs)
    return messages


def to_chat_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Realtime function tools (flat) as chat tools (nested under ``function``); other types are left out."""
    members = ("name", "description", "parameters")
    return [
        {"type": "function", "function": {m: tool[m] for m in members if tool.get(m) is not None}}
        for tool in tools
        if tool.get("type", "function") == "function" and tool.get("name")
    ]


def to_chat_tool_choice(choice: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """Realtime's ``tool_choice`` as chat completions write it: a named function nests its name."""
    if isinstance(choice, str):
        return choice
    name = choice.get("name")
    if choice.get("type") == "function" and name:
        return {"type": "function", "function": {"name": name}}
    return "auto"


def call_id(call: FunctionCall) -> str:
    """The id that ties a call to its output; an item without ``call_id`` is known by its own id."""
    if isinstance(call.call_id, str):
        return call.call_id
    return call.id if isinstance(call.id, str) else f"call_{call.name}"


def _close_calls(messages: list[ChatMessage], calls: list[FunctionCall], outputs: Mapping[str, str]) -> None:
    if not calls:
        return
    tool_calls = [
        {
            "id": call_id(call),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        for call in calls
    ]
    if messages and messages[-1]["role"] == "assistant" and "tool_calls" not in messages[-1]:
        messages[-1]["tool_calls"] = tool_calls
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": tool_calls})
    for call in calls:
        key = call_id(call)
        messages.append({"role": "tool", "tool_call_id": key, "content": outputs.get(key, NO_OUTPUT)})
    calls.clear()


def _content(message: Message, images: bool) -> str | list[dict[str, Any]]:
    """A string where there are only words, parts where there are images, something false where neither."""
    texts = [text for part in message.content if (text := _text(part).strip())]
    pictures = [part for part in message.content if images and isinstance(part, InputImage)]
    if not pictures or message.role != "user":
        return "\n".join(texts)
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, InputImage):
            url: dict[str, Any] = {"url": part.image_url}
            if is_set(part.detail):
                url["detail"] = part.detail
            parts.append({"type": "image_url", "image_url": url})
        elif text := _text(part).strip():
            parts.append({"type": "text", "text": text})
    return parts


def _text(part: InputText | InputAudio | InputImage | OutputText | OutputAudio) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case InputAudio(transcript=transcript):
            return transcript or ""
        case OutputAudio(transcript=transcript):
            return transcript if isinstance(transcript, str) else ""
        case InputImage():
            return ""
