"""The tools that a session or a response may have, and the choice among them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from vivavoz.wire.base import ClosedFixed
from vivavoz.wire.mcp import McpChoice, McpTool

MAX_DEPTH = 64
"""How deeply free-form JSON (a tool's schema, tracing metadata) may be nested."""


def check_free_form(value: Any, depth: int = MAX_DEPTH) -> None:
    """Whether free-form JSON can be kept and passed on: not nested without end, integers of 64 bits.

    Raises ``ValueError``, which the decoder reports with its place.
    """
    if isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"Nested deeper than {MAX_DEPTH} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            check_free_form(inner, depth - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("Integers of more than 64 bits are not supported")


class FunctionTool(ClosedFixed, frozen=True, tag_field="type", tag="function"):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_free_form(self.parameters)


class NamedFunction(ClosedFixed, frozen=True, tag_field="type", tag="function"):
    name: str


Tool = FunctionTool | McpTool
ToolChoice = Literal["none", "auto", "required"] | NamedFunction | McpChoice
