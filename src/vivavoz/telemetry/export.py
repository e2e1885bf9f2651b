"""Where spans go: to the OpenTelemetry collector that the standard environment names, or nowhere.

``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) switches it on; without one nothing is imported and
nothing is sent. OTLP over HTTP with protobuf; the other ``OTEL_*`` variables of the SDK count too (headers,
timeouts, sampling, the resource). https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vivavoz.call.stages import StageListener

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger("vivavoz.telemetry")

CLOSING_S = 3.0
"""How long the last spans may take to leave when the service ends."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Telemetry:
    """Owns the exporter and its thread. ``await close()`` when the calls are over."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Raises ImportError without the ``otel`` extra."""
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._exporter = exporter
        self._provider: TracerProvider = TracerProvider(resource=_ourselves(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))

    def listener(self, call_id: str) -> StageListener:
        """Makes the spans of one call; to be asked for on the call's loop."""
        from vivavoz.telemetry.spans import CallSpans

        return CallSpans(self._provider.get_tracer("vivavoz"), call_id, asyncio.get_running_loop().time)

    async def close(self) -> None:
        """Send what waits to be sent, but not for long: a collector that is gone must not keep us."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=flush, name="vivavoz-telemetry", daemon=True).start()
        try:
            await asyncio.wait_for(sent.wait(), CLOSING_S)
        except TimeoutError:
            log.warning("the last spans could not be sent within %.0f s", CLOSING_S)
            # Ends the exporter's retries, and so the thread.
            await asyncio.to_thread(self._exporter.shutdown)


def from_environment(environment: Mapping[str, str]) -> Telemetry | None:
    """None: nobody asked for spans, or what it takes is not there (the log says so)."""
    if not any(environment.get(name) for name in _ENDPOINTS):
        return None
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    protocol = next((value for name in _PROTOCOLS if (value := environment.get(name))), "http/protobuf")
    if protocol != "http/protobuf":
        log.warning("no spans are sent: OTLP is spoken over http/protobuf only, not %.20r", protocol)
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return Telemetry(OTLPSpanExporter())
    except ImportError:
        log.warning("no spans are sent: the 'otel' extra is not installed (pip install 'vivavoz[otel]')")
        return None


def _ourselves() -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before our name."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "vivavoz"}))
    return resource


__all__ = ["Telemetry", "from_environment"]
