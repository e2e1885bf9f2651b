"""Conversation items: content parts change their names with the side they are on, ``object`` is added."""

from __future__ import annotations

from typing import Any

from vivavoz.wire.beta.values import unsupported

_PARTS = {
    "input_text": "input_text",
    "input_audio": "input_audio",
    "text": "output_text",
    "audio": "output_audio",
}
_NAMES = {ga: beta for beta, ga in _PARTS.items()}
_BY_ROLE = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio"),
    "assistant": ("text", "audio"),
}
_KINDS = ("message", "function_call", "function_call_output")


def items_to_ga(value: Any, where: str) -> Any:
    """``response.input``. Raises :class:`~vivavoz.wire.errors.ProtocolError`."""
    if not isinstance(value, list):
        return value
    return [item_to_ga(item, f"{where}[{index}]") for index, item in enumerate(value)]


def item_to_ga(item: Any, where: str) -> Any:
    """Raises :class:`~vivavoz.wire.errors.ProtocolError` for a part that the beta does not have; whatever is
    wrong otherwise is left to the GA types."""
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    role = item.get("role")
    supported = _BY_ROLE.get(role) if isinstance(role, str) else None
    content = [
        _part_to_ga(part, f"{where}.content[{index}]", supported or tuple(_PARTS))
        for index, part in enumerate(item["content"])
    ]
    return {**item, "content": content}


def _part_to_ga(part: Any, where: str, supported: tuple[str, ...]) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        return part
    if kind not in supported:
        raise unsupported(kind, f"{where}.type", supported)
    return {**part, "type": _PARTS[kind]}


def is_known(item: dict[str, Any]) -> bool:
    """Whether the beta had such items at all."""
    return item["type"] in _KINDS


def item_to_beta(item: dict[str, Any]) -> dict[str, Any]:
    """An item that :func:`is_known`; parts that the beta did not have (images) are left out."""
    renamed = {"id": item.get("id"), "object": "realtime.item", **item}
    if isinstance(item.get("content"), list):
        renamed["content"] = [
            {**part, "type": _NAMES[part["type"]]} for part in item["content"] if part["type"] in _NAMES
        ]
    return renamed
