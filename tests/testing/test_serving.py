"""``vivavoz serve`` in test mode: what it does as a process, and where it refuses to start."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.test_serve import AUTH, listening, service
from vivavoz.config import Config, ConfigError, Secrets, Server, Testing
from vivavoz.serve import checked

SCRIPT = """
[[turn]]
hears = "hello"
says = "Hello, and welcome."
delays = { first_token_ms = 50 }

[faults]
refuse = { attempts = [2], status = 500 }
"""


async def ask(url: str, turns: int = 1) -> list[dict[str, Any]]:
    """One call with one typed turn, or none; what arrived."""
    arrived = []
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/realtime?model=gpt-realtime", headers=AUTH) as socket,
    ):
        arrived.append(await socket.receive_json())
        if not turns:
            return arrived
        await socket.send_json({"type": "conversation.item.create", "item": item})
        await socket.send_json({"type": "response.create"})
        while arrived[-1]["type"] != "response.done":
            arrived.append(await socket.receive_json())
    return arrived


async def serve_a_call(folder: Path) -> tuple[bytes, list[dict[str, Any]], str]:
    """The event log, what arrived, and what the service said."""
    folder.mkdir()  # noqa: ASYNC240 - nobody waits for this loop
    (folder / "script.toml").write_text(SCRIPT)
    log = folder / "events.jsonl"
    arguments = ["--deterministic", "--event-log", str(log), "--trace", str(folder / "traces")]
    async with listening(folder, "--script", str(folder / "script.toml"), *arguments) as running:
        arrived = await ask(running.url)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await ask(running.url)
        assert refused.value.status == 500
        await running.hears("is over")
        running.process.terminate()
        await running.hears("ended")
        assert await running.code() == 0
    return log.read_bytes(), arrived, running.said


async def test_equal_input_gives_byte_equal_logs(tmp_path: Path) -> None:
    log, arrived, said = await serve_a_call(tmp_path / "one")
    again, _, _ = await serve_a_call(tmp_path / "two")
    assert log == again

    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["event"] for line in lines if line.get("direction") == "server"] == arrived
    assert lines[-1] == {"call": 1, "ended": 1000}
    assert (tmp_path / "one/events.jsonl").stat().st_mode & 0o077 == 0
    assert "the script lets things go wrong: refuse" in said
    assert said.count("hold what is said") == 2

    (trace,) = (tmp_path / "one/traces").iterdir()
    (other,) = (tmp_path / "two/traces").iterdir()
    assert await replayed(trace, "--diff", str(other)) == 0


async def replayed(path: Path, *arguments: str) -> int:
    from vivavoz.cli import main

    return await asyncio.to_thread(main, ["replay", str(path), *arguments])


def refusal(config: Config) -> str:
    with pytest.raises(ConfigError) as error:
        checked(config, Secrets(("a-key",)))
    return str(error.value)


def config(*, engines: str = "scripted", host: str = "127.0.0.1", workers: int = 1, **testing: Any) -> Config:
    return Config(
        default_engines=engines,
        server=Server(host=host, workers=workers),
        testing=Testing(**testing),
    )


def test_what_anybody_can_guess_is_for_this_machine_only() -> None:
    assert "listen on 127.0.0.1" in refusal(config(deterministic=True, host="0.0.0.0"))
    assert "listen on 127.0.0.1" in refusal(config(deterministic=True, host="192.0.2.1"))
    assert checked(config(deterministic=True), Secrets()).testing.deterministic


@pytest.mark.parametrize("testing", [{"deterministic": True}, {"time": "virtual"}])
def test_a_model_is_not_deterministic(testing: dict[str, Any]) -> None:
    assert "needs the scripted engines" in refusal(config(engines="embedded", **testing))


@pytest.mark.parametrize("testing", [{"deterministic": True}, {"time": "virtual"}, {"event_log": "x"}])
def test_test_mode_is_one_worker(testing: dict[str, Any]) -> None:
    assert "one worker" in refusal(config(workers=2, **testing))


async def test_faults_are_counted_in_one_worker(tmp_path: Path) -> None:
    (tmp_path / "script.toml").write_text(SCRIPT)
    arguments = ["--script", str(tmp_path / "script.toml"), "--workers", "2", "--port", "0"]
    async with service(tmp_path, *arguments) as running:
        await running.hears(re.escape("[faults] are counted in one worker"))
        assert await running.code() == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--time", "relative"], "--time: "),
        (["--event-log", "/nowhere/at/all"], "/nowhere/at/all cannot be written: No such file"),
    ],
)
async def test_a_mistake_is_told_at_the_start(arguments: list[str], said: str, tmp_path: Path) -> None:
    async with service(tmp_path, "--port", "0", "--udp-port", "0", *arguments) as running:
        await running.hears(re.escape(said))
        assert await running.code() == 2
    assert "Traceback" not in running.said


async def test_a_misspelt_fault_is_told_at_the_start(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text("[faults]\ndropp = { after_events = 3 }\n")
    async with service(tmp_path, "--port", "0", "--script", str(script)) as running:
        await running.hears("faults: Object contains unknown field `dropp`")
        assert await running.code() == 2


async def test_a_second_run_records_its_calls_under_the_same_names(tmp_path: Path) -> None:
    arguments = ["--deterministic", "--trace", str(tmp_path / "traces")]
    sizes = []
    for turns in (1, 0):
        async with listening(tmp_path, *arguments) as running:
            await ask(running.url, turns)
            await running.hears("is over")
        (trace,) = (tmp_path / "traces").iterdir()
        sizes.append(trace.stat().st_size)
    assert sizes[0] > sizes[1] > 0
