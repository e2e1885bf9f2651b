"""Sessions that ask for tracing, and the spans they get."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.call.sounds import silence, voice
from tests.call.transports import FakeTransport
from tests.virtual_time import run_virtual
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.ports import EngineError
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.telemetry.spans import CallSpans
from vivavoz.wire.codec import decode_client_event

SPOKEN = (silence(300), voice(900), silence(600))


class Broken(ScriptedEngines):
    """Its language model fails."""

    def for_call(self) -> Any:
        view = super().for_call()

        class Llm:
            async def reply(self, items: Any, options: Any) -> Any:
                raise EngineError("what was said must not be told", "model_down")
                yield

        view.llm = Llm()
        return view


def traced(tracing: Any, *, engines: Any = None, update: bool = False) -> list[ReadableSpan]:
    """The spans of a call with one spoken turn. ``update``: asked for after the session began."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def listener(call_id: str) -> CallSpans:
        return CallSpans(provider.get_tracer("test"), call_id, asyncio.get_running_loop().time)

    async def main() -> None:
        chosen = engines or ScriptedEngines()
        await chosen.start()
        session = {"type": "realtime", "instructions": "a secret prompt", "tracing": tracing}
        event: Any = decode_client_event(json.dumps({"type": "session.update", "session": session}))
        async with CallRegistry(lambda model: chosen, listeners=[listener]) as calls:
            call = calls.open(None if update else event.session, "gpt-realtime")
            client = FakeTransport().join(call)
            if update:
                client.say("session.update", session=session)
            for chunk in SPOKEN:
                for start in range(0, len(chunk), 960):
                    client.speak(chunk[start : start + 960])
                    await asyncio.sleep(0.02)
            await client.until("response.done")
            await asyncio.sleep(1)
            call.hangup("enough")
            await call.closed.wait()

    run_virtual(main())
    return list(exporter.get_finished_spans())


def by_name(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


@pytest.mark.parametrize("update", [False, True])
def test_a_session_with_its_turn_response_and_jobs(update: bool) -> None:
    tracing = {"workflow_name": "support", "group_id": "g1", "metadata": {"tier": "gold", "list": [1, 2]}}
    spans = traced(tracing, update=update)
    found = by_name(spans)
    assert sorted(found) == ["llm", "response", "session", "stt", "tts", "turn"]
    session = found["session"]
    assert session.attributes is not None
    assert session.attributes["vivavoz.workflow_name"] == "support"
    assert session.attributes["vivavoz.group_id"] == "g1"
    assert session.attributes["vivavoz.metadata.tier"] == "gold"
    assert session.attributes["vivavoz.metadata.list"] == "[1, 2]"
    assert str(session.attributes["session.id"]).startswith("sess_")
    parents = {"turn": "session", "response": "session", "stt": "turn", "llm": "response", "tts": "response"}
    for name, parent in parents.items():
        child, outer = found[name], found[parent]
        assert child.parent is not None
        assert outer.context is not None
        assert child.parent.span_id == outer.context.span_id
        assert outer.start_time <= child.start_time <= child.end_time <= outer.end_time, name  # type: ignore[operator]
    assert {span.context.trace_id for span in spans if span.context} == {session.context.trace_id}  # type: ignore[union-attr]
    assert [event.name for event in found["response"].events] == ["first_token", "first_audio"]
    assert all(span.status.status_code is not StatusCode.ERROR for span in spans)


def test_auto_needs_no_names() -> None:
    session = by_name(traced("auto"))["session"]
    assert "vivavoz.workflow_name" not in (session.attributes or {})


def test_without_tracing_there_are_no_spans() -> None:
    assert traced(None) == []


def test_a_failure_is_named_and_its_message_kept_back() -> None:
    found = by_name(traced("auto", engines=Broken()))
    for name in ("llm", "response"):
        assert found[name].status.status_code is StatusCode.ERROR
        assert found[name].status.description == "model_down"
    assert found["session"].status.status_code is not StatusCode.ERROR


def test_no_words_are_in_the_spans() -> None:
    spans = traced("auto", engines=Broken()) + traced("auto")
    told = "\n".join(span.to_json() for span in spans)
    assert "session" in told
    for secret in ("a secret prompt", "what was said"):
        assert secret not in told
