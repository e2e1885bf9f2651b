"""A service whose environment names a collector."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp

from tests.running import vivavoz
from tests.telemetry.test_export import collector


async def test_a_session_that_asks_for_tracing_reaches_the_collector(tmp_path: Path) -> None:
    with collector() as (endpoint, got):
        with vivavoz(tmp_path, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as service:
            async with aiohttp.ClientSession() as http:
                await _answer(http, service.websocket_url, tracing=None)
                await _answer(http, service.websocket_url, tracing={"workflow_name": "support"})
            service.wait_for_calls(0)
        spans = [
            span
            for request in got
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    assert sorted(span.name for span in spans) == ["llm", "response", "session"]
    assert len({span.trace_id for span in spans}) == 1
    (session,) = (span for span in spans if span.name == "session")
    attributes = {each.key: each.value.string_value for each in session.attributes}
    assert attributes["vivavoz.workflow_name"] == "support"
    assert "Tell me a secret" not in str(spans)


async def _answer(http: aiohttp.ClientSession, url: str, tracing: object) -> None:
    session = {"type": "realtime", "output_modalities": ["text"], "tracing": tracing}
    part = {"type": "input_text", "text": "Tell me a secret."}
    async with http.ws_connect(f"{url}/realtime?model=gpt-realtime") as connection:
        for event in (
            {"type": "session.update", "session": session},
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [part]},
            },
            {"type": "response.create"},
        ):
            await connection.send_json(event)
        async for message in connection:
            if json.loads(message.data)["type"] == "response.done":
                return
        raise AssertionError("the connection ended before the response")
