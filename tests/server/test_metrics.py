"""What ``GET /metrics`` tells, of whom and to whom."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.test_relay import AUTH, a_call, two_workers
from tests.media.minipeer import MiniPeer, Wire
from tests.media.peers import RecordingSink
from tests.server.fakes import KEY, Running, running
from vivavoz.call.stages import JobStages, ResponseStages, TurnStages, TurnTimings
from vivavoz.config import Config, Server
from vivavoz.media.ports import Drop, End
from vivavoz.server.admission import Admission
from vivavoz.server.stage_metrics import StageMetrics

STRICT = Config(default_engines="scripted", server=Server(strict_azure=True))


class Page:
    """Samples by name, each by its labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        families = list(text_string_to_metric_families(text))
        assert len({family.name for family in families}) == len(families), "each family once"
        for family in families:
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                assert labels not in self.samples.setdefault(sample.name, {}), "each series once"
                self.samples[sample.name][labels] = sample.value

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name][tuple(sorted({"worker": "00", **labels}.items()))]


async def scraped(server: Running) -> Page:
    async with server.http.get(server.url + "/metrics", headers={"api-key": KEY}) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return Page(await answer.text())


@pytest.mark.parametrize("config", [None, STRICT])
async def test_it_asks_for_the_key(config: Config | None) -> None:
    async with running(config) as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            async with server.http.get(server.url + "/metrics", headers=headers) as answer:
                assert answer.status == 401
        assert (await scraped(server)).value("vivavoz_ready") == 1


async def test_without_a_key_it_is_for_this_machine_only() -> None:
    async with running(keys=()) as server:
        assert (await scraped(server)).value("vivavoz_worker_up") == 1
        async with server.http.get(server.url + "/metrics", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403


async def test_what_is_refused_and_why() -> None:
    async with running() as server:
        await a_call(server)
        headers = {**AUTH, "Content-Type": "application/sdp"}
        url = server.url + "/v1/realtime/calls"
        async with server.http.post(url, data="v=0 broken", headers=headers) as answer:
            assert answer.status == 400
        server.service.admission = Admission(1.0, lambda: 50.0, lambda: 1)
        async with server.http.post(url, data="v=0\r\n", headers=headers) as answer:
            assert answer.status == 503
        async with server.http.get(server.url + "/nothing") as answer:
            assert answer.status == 404
        page = await scraped(server)
        refused = "vivavoz_requests_refused_total"
        assert page.value(refused, code="server_overloaded") == 1
        assert page.value(refused, code="unknown_url") == 1
        assert page.value(refused, code="invalid_offer") == 1
        assert page.value("vivavoz_overloaded") == 1
        assert page.value("vivavoz_ready") == 0
        assert page.value("vivavoz_calls") == 1
        assert KEY not in page.text


async def test_what_the_media_path_counts() -> None:
    async with running() as server, Wire() as wire:
        server.service.media = wire.engine
        before = await scraped(server)
        dropped = before.samples["vivavoz_media_dropped_total"]
        assert {dict(labels)["reason"] for labels in dropped} == set(get_args(Drop))
        assert set(dropped.values()) == {0}
        ended = before.samples["vivavoz_media_calls_ended_total"]
        assert {dict(labels)["cause"] for labels in ended} == set(get_args(End))
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        wire.engine._received(b"\x80garbage", ("198.51.100.7", 7))
        peer.call.tick(wire.now, 0)
        page = await scraped(server)
        assert page.value("vivavoz_media_dropped_total", reason="stranger") == 1
        assert page.value("vivavoz_media_datagrams_received_total") == 1
        assert page.value("vivavoz_media_calls") == 1
        assert page.value("vivavoz_media_calls_accepted_total") == 1
        assert page.value("vivavoz_media_packets_sent_total") == 1
        peer.call.tick(wire.now + 6, 0)
        page = await scraped(server)
        assert page.value("vivavoz_media_calls") == 0
        assert page.value("vivavoz_media_calls_ended_total", cause="vanished") == 1
        assert page.value("vivavoz_media_packets_sent_total") >= 1


async def test_the_page_of_the_docs_has_all_of_it() -> None:
    told = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    async with running() as server, Wire() as wire:
        server.service.media = wire.engine
        server.service.stages = after_one_turn()
        names = [name for name in (await scraped(server)).samples if name.startswith("vivavoz_")]
    assert len(names) > 15
    for name in (*names, *get_args(Drop), *get_args(End)):
        name = re.sub("_(bucket|count|sum)$", "", name)
        assert f"`{name}`" in told, name


def after_one_turn() -> StageMetrics:
    """What a turn of half a second, its transcript and its answer leave."""
    stages = StageMetrics("00")
    heard = JobStages(job=1, kind="stt", started=10.0, first=10.1, ended=10.2, outcome="completed")
    said = JobStages(job=2, kind="llm", started=10.2, first=10.5, ended=11.2, outcome="completed")
    broken = JobStages(job=3, kind="tts", started=10.6, ended=10.7, outcome="failed", code="engine_stalled")
    stages.turn(TurnStages(item_id="item_1", outcome="understood", jobs=[heard]))
    stages.response(
        ResponseStages(
            response_id="resp_1",
            created=10.2,
            status="failed",
            input_tokens=70,
            output_tokens=9,
            jobs=[said, broken],
        )
    )
    stages.timings(TurnTimings(response_id="resp_1", item_id="item_1", vad_ms=210, llm_first_token_ms=800))
    return stages


async def test_turns_responses_and_the_work_for_them() -> None:
    async with running() as server:
        server.service.stages = after_one_turn()
        server.service.calls.jobs = lambda: Counter(tts=2)  # type: ignore[method-assign]
        page = await scraped(server)
    assert page.value("vivavoz_turns_total", outcome="understood") == 1
    assert page.value("vivavoz_responses_total", status="failed") == 1
    assert page.value("vivavoz_tokens_total", direction="input") == 70
    assert page.value("vivavoz_tokens_total", direction="output") == 9
    assert page.value("vivavoz_jobs_total", kind="tts", outcome="failed") == 1
    assert page.value("vivavoz_jobs_running", kind="tts") == 2
    assert page.value("vivavoz_jobs_running", kind="llm") == 0
    assert page.value("vivavoz_job_first_seconds_sum", kind="llm") == pytest.approx(0.3)
    assert page.value("vivavoz_job_seconds_sum", kind="llm") == pytest.approx(1.0)
    with pytest.raises(KeyError):
        page.value("vivavoz_job_seconds_count", kind="tts")
    assert page.value("vivavoz_turn_stage_seconds_bucket", stage="vad", le="0.2") == 0
    assert page.value("vivavoz_turn_stage_seconds_bucket", stage="vad", le="0.3") == 1
    assert page.value("vivavoz_turn_stage_seconds_count", stage="llm_first_token") == 1
    assert not [name for name in page.samples if name.endswith("_created")]


async def test_every_worker_is_in_it_and_one_that_is_away_is_told(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (one, other):
        await a_call(other)
        for asked in (one, other):
            page = await scraped(asked)
            assert page.value("vivavoz_calls", worker="00") == 0
            assert page.value("vivavoz_calls", worker="01") == 1
            assert page.value("process_open_fds", worker="01") > 0
            assert {page.value("vivavoz_worker_up", worker=tag) for tag in ("00", "01")} == {1}
        (tmp_path / "01.sock").unlink()
        page = await scraped(one)
        assert page.value("vivavoz_worker_up", worker="01") == 0
        assert page.value("vivavoz_worker_up", worker="00") == 1
        with pytest.raises(KeyError):
            page.value("vivavoz_calls", worker="01")


async def test_a_page_elsewhere_cannot_read_it() -> None:
    async with running() as server, aiohttp.ClientSession() as http:
        headers = {**AUTH, "Origin": "https://evil.example"}
        async with http.get(server.url + "/metrics", headers=headers) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
