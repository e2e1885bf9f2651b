"""Servers on this machine are found by name."""

from __future__ import annotations

from fake_openai import FakeOpenAI

from vivavoz.engines.remote import probe_local


async def test_a_server_that_answers_is_named_with_its_models(fake: FakeOpenAI) -> None:
    fake.models = {"data": [{"id": "llama3.2:3b"}, {"id": "b\nad\x1b[0m"}, {"id": "c"}, {"id": "d"}]}
    assert await probe_local(servers={"Ollama": fake.port, "vLLM": 1}, timeout_seconds=5.0) == [
        f"Ollama at http://127.0.0.1:{fake.port}/v1 (models: llama3.2:3b, bad0m, c, ...)"
    ]
    assert "Authorization" not in fake.headers[0]


async def test_a_server_without_models_is_named(fake: FakeOpenAI) -> None:
    assert await probe_local(servers={"vLLM": fake.port}, timeout_seconds=5.0) == [
        f"vLLM at http://127.0.0.1:{fake.port}/v1"
    ]


async def test_what_is_no_model_server_is_not_named(fake: FakeOpenAI) -> None:
    for answer in ("hello", {"data": "x"}, [], {"data": [{"id": "m", "owned_by": "vivavoz"}]}):
        fake.models = answer
        assert await probe_local(servers={"vLLM": fake.port}, timeout_seconds=5.0) == []


async def test_our_own_port_is_left_alone(fake: FakeOpenAI) -> None:
    assert await probe_local({fake.port}, servers={"llama.cpp": fake.port}) == []
    assert fake.headers == []
