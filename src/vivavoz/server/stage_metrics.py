"""What turns, responses and engines' work come to: counters and histograms of one worker."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric

from vivavoz.call.stages import JobStages, ResponseStages, StageListener, TurnStages, TurnTimings

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class StageMetrics(StageListener):
    """One for all calls of a worker: it is told what is over, and keeps nothing of whose it was."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._registry = CollectorRegistry()
        self._turns = self._counter("turns", "The caller's turns.", "outcome")
        self._responses = self._counter("responses", "Responses that ended.", "status")
        self._tokens = self._counter("tokens", "Tokens of responses.", "direction")
        self._jobs = self._counter("jobs", "Work that engines did, or did not.", "kind", "outcome")
        self._stages = self._histogram(
            "turn_stage_seconds",
            "Of answered turns: from the end of speech to the end of the stage.",
            "stage",
        )
        self._firsts = self._histogram("job_first_seconds", "Until the first word or sound of a job.", "kind")
        self._lasted = self._histogram("job_seconds", "How long completed jobs took.", "kind")

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            # When a series began is of no use to anybody, and would double their number.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family

    def turn(self, turn: TurnStages) -> None:
        self._turns.labels(self._worker, turn.outcome or "discarded").inc()
        for job in turn.jobs:
            self.job(job)

    def response(self, response: ResponseStages) -> None:
        self._responses.labels(self._worker, response.status or "cancelled").inc()
        self._tokens.labels(self._worker, "input").inc(response.input_tokens)
        self._tokens.labels(self._worker, "output").inc(response.output_tokens)
        for job in response.jobs:
            self.job(job)

    def job(self, job: JobStages) -> None:
        self._jobs.labels(self._worker, job.kind, job.outcome or "cancelled").inc()
        if job.first is not None:
            self._firsts.labels(self._worker, job.kind).observe(job.first - job.started)
        if job.outcome == "completed" and job.ended is not None:
            self._lasted.labels(self._worker, job.kind).observe(job.ended - job.started)

    def timings(self, timings: TurnTimings) -> None:
        for stage in ("vad", "turn", "stt", "llm_first_token", "tts_first_audio", "first_packet"):
            if (taken_ms := getattr(timings, f"{stage}_ms")) is not None:
                self._stages.labels(self._worker, stage).observe(taken_ms / 1000)

    def _counter(self, name: str, what: str, *by: str) -> Counter:
        return Counter(f"vivavoz_{name}", what, ("worker", *by), registry=self._registry)

    def _histogram(self, name: str, what: str, *by: str) -> Histogram:
        return Histogram(f"vivavoz_{name}", what, ("worker", *by), registry=self._registry, buckets=_SECONDS)
