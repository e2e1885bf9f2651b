"""What one spoken turn through a real call leaves in the metrics."""

from __future__ import annotations

import asyncio

from tests.call.sounds import silence, voice
from tests.call.transports import FakeTransport
from tests.virtual_time import run_virtual
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.server.stage_metrics import StageMetrics

SPOKEN = silence(300) + voice(900) + silence(600)
CHUNK = 960


def test_a_spoken_turn_and_its_answer() -> None:
    metrics = StageMetrics("00")
    busy: set[str] = set()

    async def scene() -> None:
        engines = ScriptedEngines()
        await engines.start()
        async with CallRegistry(lambda model: engines, listeners=[lambda call_id: metrics]) as calls:
            client = FakeTransport().join(calls.open(None, "gpt-realtime"))
            for start in range(0, len(SPOKEN), CHUNK):
                client.speak(SPOKEN[start : start + CHUNK])
                await asyncio.sleep(0.02)
                busy.update(calls.jobs())
            await client.until("response.done")
            assert not calls.jobs()

    run_virtual(scene())
    found = {
        (sample.name, *(value for name, value in sample.labels.items() if name != "worker")): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }
    assert busy >= {"stt"}
    assert found["vivavoz_turns_total", "understood"] == 1
    assert found["vivavoz_responses_total", "completed"] == 1
    assert found["vivavoz_tokens_total", "output"] > 0
    for kind in ("stt", "llm", "tts"):
        assert found["vivavoz_jobs_total", kind, "completed"] == 1
        assert found["vivavoz_job_seconds_count", kind] == 1
    for stage in ("vad", "turn", "stt", "llm_first_token", "tts_first_audio"):
        assert found["vivavoz_turn_stage_seconds_count", stage] == 1
    # 200 ms of silence end the turn, and the energy detector hangs on for some frames.
    assert 0.2 <= found["vivavoz_turn_stage_seconds_sum", "turn"] <= 0.3
