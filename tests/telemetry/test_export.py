"""Who gets spans: nobody, unless the environment names a collector."""

from __future__ import annotations

import asyncio
import gzip
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from vivavoz.call.stages import SessionStages
from vivavoz.telemetry import export

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_off_unless_asked_for(environment: dict[str, str]) -> None:
    assert export.from_environment(environment) is None


def test_a_protocol_that_is_not_spoken_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert export.from_environment({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert "'grpc'" in caplog.text


def test_without_the_extra_the_log_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert export.from_environment(ENDPOINT) is None
    assert "vivavoz[otel]" in caplog.text


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """What a collector on loopback is sent."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request.ParseFromString(body)
            got.append(request)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Not here."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_reach_the_collector_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        telemetry = export.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        assert telemetry is not None
        spans = telemetry.listener("rtc_1")
        spans.session(1.0, SessionStages(session_id="sess_1", type="realtime", model="m", tracing="auto"))
        spans.closed(2.0)
        await telemetry.close()

    with collector() as (url, got):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        asyncio.run(main())
    (request,) = got
    (resource,) = request.resource_spans
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "vivavoz"
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.end_time_unix_nano - span.start_time_unix_nano) == ("session", 1_000_000_000)


def test_a_collector_that_is_gone_does_not_keep_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CLOSING_S", 0.2)

    async def main() -> None:
        with collector() as (gone, _):
            pass
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone)
        telemetry = export.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": gone})
        assert telemetry is not None
        spans = telemetry.listener("rtc_1")
        spans.session(1.0, SessionStages(session_id="sess_1", type="realtime", model="m", tracing="auto"))
        spans.closed(2.0)
        await telemetry.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert not [
        thread for thread in threading.enumerate() if thread.name == "vivavoz-telemetry" and not thread.daemon
    ]
