"""What a response has cost, in tokens, by the accounting rules of the hosted services."""

from __future__ import annotations

from vivavoz.session.input_audio import to_ms
from vivavoz.session.pieces import MS_PER_TOKEN_SAID
from vivavoz.session.response import Response
from vivavoz.wire.items import AnyItem, FunctionCall, Message, OutputAudio, OutputText
from vivavoz.wire.mcp import McpApprovalRequest, McpCall
from vivavoz.wire.responses import (
    CachedTokensDetails,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseUsage,
)


def usage_of(response: Response, tokens_per_byte: float) -> ResponseUsage:
    """Text as the model counted it; where it did not say, as it was reckoned before. Sound that was heard and
    sound that was said count by their length, each time that they are given to the model."""
    read, written, cached = response.usage or _estimate(response, tokens_per_byte)
    heard = sum(asked.sound for asked in response.asked)
    said = -(-to_ms(response.said_samples) // MS_PER_TOKEN_SAID)
    return ResponseUsage(
        total_tokens=read + heard + written + said,
        input_tokens=read + heard,
        output_tokens=written + said,
        input_token_details=InputTokenDetails(
            text_tokens=read,
            audio_tokens=heard,
            cached_tokens=cached,
            cached_tokens_details=CachedTokensDetails(text_tokens=cached),
        ),
        output_token_details=OutputTokenDetails(text_tokens=written, audio_tokens=said),
    )


def _estimate(response: Response, tokens_per_byte: float) -> tuple[int, int, int]:
    wrote = sum(len(_text_of(item).encode("utf-8", "surrogatepass")) for item in response.items)
    return sum(asked.text for asked in response.asked), round(wrote * tokens_per_byte + 0.499), 0


def _text_of(item: AnyItem) -> str:
    """All the words of an item the model wrote."""
    if not isinstance(item, Message):
        return item.arguments if isinstance(item, FunctionCall | McpCall | McpApprovalRequest) else ""
    words = []
    for part in item.content:
        if isinstance(part, OutputAudio):
            words.append(part.transcript if isinstance(part.transcript, str) else "")
        elif isinstance(part, OutputText):
            words.append(part.text)
    return "".join(words)
