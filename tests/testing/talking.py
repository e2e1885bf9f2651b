"""An application under test: it talks through the official SDK, unmodified."""

from __future__ import annotations

from typing import Any

from openai import OpenAI

from vivavoz.testing.service import Vivavoz


def client_of(service: Vivavoz) -> OpenAI:
    return OpenAI(base_url=service.base_url, api_key=service.api_key, max_retries=0)


def ask(connection: Any, text: str) -> Any:
    """One typed turn; its ``response``."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    connection.conversation.item.create(item=item)
    connection.response.create()
    return answer(connection)


def answer(connection: Any) -> Any:
    for event in connection:
        assert event.type != "error", event
        if event.type == "response.done":
            return event.response
    raise AssertionError("the connection closed before the response was done")


def words(response: Any) -> str:
    return " ".join(part.transcript or part.text for item in response.output for part in item.content)
