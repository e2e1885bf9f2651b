"""``GET /metrics``: counters for Prometheus, of all workers, each under its ``worker`` label.

Names and numbers only: no id, address, credential or word of anybody's. Nothing is kept for it on the media
path but counters; everything is gathered when it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

import vivavoz
from vivavoz.call.stages import JobKind
from vivavoz.cluster.relay import OwnerUnreachable, ask, was_relayed
from vivavoz.media.ports import Drop, End, EngineStats
from vivavoz.server.health import takes_calls
from vivavoz.server.service import SERVICE, Service

_PROCESS = ProcessCollector(registry=None)


async def metrics(request: web.Request) -> web.Response:
    """The text format, whichever worker is asked. Raises ApiError (401)."""
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    others = {} if was_relayed(request) else service.directory.others
    pages = await asyncio.gather(*(_of_other(request, tag) for tag in others))
    up = GaugeMetricFamily("vivavoz_worker_up", "Whether the worker answers.", labels=["worker"])
    up.add_metric([service.directory.own_tag], 1)
    families = {family.name: family for family in (up, *_own(service))}
    for tag, page in zip(others, pages, strict=True):
        if page is None:
            up.add_metric([tag], 0)
            continue
        for family in text_string_to_metric_families(page):
            if family.name in families:
                families[family.name].samples += family.samples
            else:
                families[family.name] = family
    return web.Response(
        body=generate_latest(_Gathered(families.values())),
        headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"},
    )


class _Gathered(Collector):
    """As the library wants them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _of_other(request: web.Request, tag: str) -> str | None:
    service: Service = request.app[SERVICE]
    try:
        return (await ask(request, service.directory.others[tag].socket, request.query_string, 0.0)).decode()
    except (OwnerUnreachable, UnicodeDecodeError):
        return None


def _own(service: Service) -> Iterator[Metric]:
    """This worker's."""
    worker = service.directory.own_tag

    def gauge(name: str, what: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"vivavoz_{name}", what, labels=["worker"])
        family.add_metric([worker], value)
        return family

    def counter(name: str, what: str, by: str, counts: Mapping[str, float]) -> Metric:
        family = CounterMetricFamily(f"vivavoz_{name}", what, labels=["worker", by] if by else ["worker"])
        for label, count in counts.items():
            family.add_metric([worker, label] if by else [worker], count)
        return family

    info = GaugeMetricFamily("vivavoz_info", "What runs; always 1.", labels=["worker", "version"])
    info.add_metric([worker, vivavoz.__version__], 1)
    yield info
    yield gauge("calls", "Calls alive, over any transport.", len(service.calls))
    yield gauge("ready", "Whether a call could be opened now.", takes_calls(service))
    overloaded = service.admission.overloaded
    yield gauge("overloaded", "Whether calls are refused so that the others do not suffer.", overloaded)
    yield gauge("draining", "Whether the worker is about to end.", service.draining)
    refused = service.refused
    yield counter("requests_refused", "HTTP requests refused, by the code in the answer.", "code", refused)
    yield from _process(worker)
    running = _all(get_args(JobKind), service.calls.jobs())
    busy = GaugeMetricFamily(
        "vivavoz_jobs_running", "Work that engines do or have before them.", labels=["worker", "kind"]
    )
    for kind, count in running.items():
        busy.add_metric([worker, kind], count)
    yield busy
    if service.stages is not None:
        yield from service.stages.collect()
    if service.media is None:
        return
    stats, late_s = service.media.stats, service.media.late_ms / 1000
    yield gauge("media_calls", "WebRTC calls, connected or about to.", service.media.calls)
    yield gauge("media_late_seconds", "What one turn in a hundred was late by, of the last 5 s.", late_s)
    yield gauge("media_packets_lost", "RTP packets that have not come.", stats.packets_lost)
    dropped, ended = _all(get_args(Drop), stats.dropped), _all(get_args(End), stats.ended)
    yield counter("media_dropped", "Datagrams and packets that came and were dropped.", "reason", dropped)
    yield counter("media_calls_ended", "WebRTC calls that ended.", "cause", ended)
    for name, what, count in _plain(stats):
        yield counter(name, what, "", {"": count})


def _all(labels: Iterable[str], counts: Mapping[Any, int]) -> dict[str, float]:
    """Zeros too: what has never happened can be told from what is not counted."""
    return {label: counts.get(label, 0) for label in labels}


def _plain(stats: EngineStats) -> Iterator[tuple[str, str, int]]:
    yield "media_calls_accepted", "Offers answered.", stats.calls_accepted
    yield "media_datagrams_received", "Datagrams, and frames of TCP connections.", stats.datagrams_received
    yield "media_packets_received", "RTP packets of calls, good ones.", stats.packets_received
    yield "media_packets_sent", "RTP packets.", stats.packets_sent
    yield (
        "media_frames_concealed",
        "20 ms each, made up for what did not come.",
        stats.frames_concealed,
    )
    yield "media_frames_recovered", "Of those: from in-band FEC.", stats.frames_recovered
    yield "media_send_failures", "Datagrams that the network did not take.", stats.send_failures
    yield "media_connections_accepted", "TCP connections to the media port.", stats.connections_accepted
    yield "media_connections_refused", "Of those: cut off, being no call's.", stats.connections_refused


def _process(worker: str) -> Iterator[Metric]:
    """CPU time, memory and open files."""
    for family in _PROCESS.collect():
        family.samples = [
            sample._replace(labels={**sample.labels, "worker": worker}) for sample in family.samples
        ]
        yield family
