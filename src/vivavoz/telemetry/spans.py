"""A call's stages as OpenTelemetry spans: the session, in it turns and responses, in those their jobs.

Only sessions that ask for it (``tracing``) have any. A span says what ran, how long and how it ended; never
words, prompts, sound or credentials: the records it is made of hold none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from vivavoz.call.stages import JobStages, ResponseStages, SessionStages, StageListener, TurnStages
from vivavoz.wire.options import Tracing

MAX_METADATA = 32
"""Members of a session's tracing metadata that become attributes; the rest is left out."""

MAX_TEXT = 512
"""The most characters of one attribute."""

NS = 1_000_000_000


class CallSpans(StageListener):
    """The spans of one call. ``clock``: the call's; spans are given in Unix time."""

    def __init__(self, tracer: Tracer, call_id: str, clock: Callable[[], float]) -> None:
        self._tracer = tracer
        self._call_id = call_id
        self._epoch_ns = time.time_ns() - int(clock() * NS)
        self._session: Span | None = None

    def session(self, now: float, session: SessionStages) -> None:
        """Once on, tracing stays as it is: that is the session's own rule."""
        if session.tracing is None or self._session is not None:
            return
        attributes = {
            "session.id": session.session_id,
            "vivavoz.call_id": self._call_id,
            "vivavoz.session.type": session.type,
            **_asked_for(session.tracing),
        }
        if session.model is not None:
            attributes["gen_ai.request.model"] = session.model[:MAX_TEXT]
        self._session = self._tracer.start_span(
            "session",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            attributes=attributes,
            start_time=self._unix(now),
        )

    def turn(self, turn: TurnStages) -> None:
        began = turn.started if turn.started is not None else turn.decided
        if self._session is None or began is None:
            return
        span = self._span("turn", self._session, began, **{"vivavoz.item_id": turn.item_id})
        span.set_attribute("vivavoz.outcome", turn.outcome or "")
        self._mark(span, speech_ended=turn.spoken, pause_found=turn.paused, decided=turn.decided)
        if turn.outcome == "failed":
            _failed(span, turn.code)
        over = _latest(began, turn.ended, turn.jobs)
        self._jobs(span, turn.jobs, over)
        span.end(self._unix(over))

    def response(self, response: ResponseStages) -> None:
        if self._session is None:
            return
        attributes = {"vivavoz.response_id": response.response_id, "vivavoz.status": response.status or ""}
        if response.item_id is not None:
            attributes["vivavoz.item_id"] = response.item_id
        if response.reason is not None:
            attributes["vivavoz.reason"] = response.reason
        span = self._span("response", self._session, response.created, **attributes)
        span.set_attribute("gen_ai.usage.input_tokens", response.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", response.output_tokens)
        self._mark(
            span,
            first_token=response.first_token,
            first_audio=response.first_audio,
            first_packet=response.first_packet,
        )
        if response.status == "failed":
            _failed(span, response.reason)
        over = _latest(response.created, response.ended, response.jobs)
        self._jobs(span, response.jobs, over)
        span.end(self._unix(over))

    def job(self, job: JobStages) -> None:
        if self._session is not None:
            self._jobs(self._session, [job], job.started)

    def closed(self, now: float) -> None:
        if self._session is not None:
            self._session.end(self._unix(now))
            self._session = None

    # ---------------------------------------------------------------------------- one span

    def _jobs(self, parent: Span, jobs: list[JobStages], over: float) -> None:
        for job in jobs:
            span = self._span(job.kind, parent, job.started)
            if job.input_tokens or job.output_tokens:
                span.set_attribute("gen_ai.usage.input_tokens", job.input_tokens)
                span.set_attribute("gen_ai.usage.output_tokens", job.output_tokens)
                span.set_attribute("gen_ai.usage.cache_read.input_tokens", job.cached_tokens)
            self._mark(span, first_result=job.first)
            if job.outcome is not None:
                span.set_attribute("vivavoz.outcome", job.outcome)
            if job.outcome == "failed":
                _failed(span, job.code)
            span.end(self._unix(job.ended if job.ended is not None else over))

    def _span(self, name: str, parent: Span, start: float, **attributes: str) -> Span:
        return self._tracer.start_span(
            name,
            context=trace.set_span_in_context(parent),
            attributes=attributes,
            start_time=self._unix(start),
        )

    def _mark(self, span: Span, **moments: float | None) -> None:
        for name, at in moments.items():
            if at is not None:
                span.add_event(name, timestamp=self._unix(at))

    def _unix(self, at: float) -> int:
        return self._epoch_ns + int(at * NS)


def _failed(span: Span, code: str | None) -> None:
    """The name of what went wrong; its message may say more than a trace should."""
    name = code or "unknown"
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, name))


def _latest(began: float, ended: float | None, jobs: list[JobStages]) -> float:
    """A span holds its children."""
    return max(began, ended or began, *(job.ended or began for job in jobs), began)


def _asked_for(tracing: Any) -> dict[str, Any]:
    """What the application wants its trace to be called, and found by."""
    if not isinstance(tracing, Tracing):
        return {}
    attributes: dict[str, Any] = {}
    if isinstance(tracing.workflow_name, str):
        attributes["vivavoz.workflow_name"] = tracing.workflow_name[:MAX_TEXT]
    if isinstance(tracing.group_id, str):
        attributes["vivavoz.group_id"] = tracing.group_id[:MAX_TEXT]
    if isinstance(tracing.metadata, dict):
        for name, value in list(tracing.metadata.items())[:MAX_METADATA]:
            if not isinstance(value, str | bool | int | float):
                value = json.dumps(value)
            if isinstance(value, str):
                value = value[:MAX_TEXT]
            attributes[f"vivavoz.metadata.{name[:64]}"] = value
    return attributes


__all__ = ["CallSpans"]
