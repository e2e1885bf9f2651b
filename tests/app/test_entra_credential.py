"""The application's Entra token: one for all, renewed early, and no request waits while it is good."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.app.rig import PROMPT, StandIn, before, refused
from vivavoz.app.upstream.azure import AI_FOUNDRY, COGNITIVE_SERVICES, audience_of
from vivavoz.app.upstream.entra import EARLY_S, Entra
from vivavoz.app.upstream.port import UpstreamError

SECRET = "eyJ.the-tenant-and-the-secret"


class Token(NamedTuple):
    token: str
    expires_on: int


class Source:
    """A credential of azure-identity whose answers wait for ``open``, and fail where ``failing``."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.called = asyncio.Event()
        self.failing = False
        self.closed = False

    async def get_token(self, *scopes: str) -> Any:
        self.asked.append(scopes[0])
        self.called.set()
        await self.open.wait()
        if self.failing:
            raise RuntimeError(f"AADSTS7000215: {SECRET} is wrong")
        return Token(f"{SECRET}-{len(self.asked)}", int(self.now + 3600))

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
async def entra(source: Source) -> Entra:
    return Entra(source, COGNITIVE_SERVICES, clock=lambda: source.now)


async def bearer(entra: Entra) -> str:
    return (await entra.headers())["Authorization"].removeprefix(f"Bearer {SECRET}-")


async def test_many_at_once_ask_once(entra: Entra, source: Source) -> None:
    source.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(bearer(entra)) for _ in range(50)]
        await source.called.wait()
        source.open.set()
    assert {task.result() for task in asking} == {"1"}
    assert source.asked == [COGNITIVE_SERVICES]


async def test_the_old_token_is_used_while_the_new_one_is_fetched(entra: Entra, source: Source) -> None:
    assert await bearer(entra) == "1"
    keeping = asyncio.ensure_future(entra.keep(look_s=0.001))
    try:
        source.open.clear()
        source.called.clear()
        source.now += 3600 - EARLY_S + 1
        assert await bearer(entra) == "1"
        async with asyncio.timeout(60):
            await source.called.wait()
        assert await bearer(entra) == "1"
        source.open.set()
        async with asyncio.timeout(60):
            while await bearer(entra) == "1":  # noqa: ASYNC110 - the loop's own turns
                await asyncio.sleep(0)
        assert len(source.asked) == 2
    finally:
        keeping.cancel()


async def test_a_failed_renewal_leaves_the_old_token_in_use(entra: Entra, source: Source) -> None:
    assert await bearer(entra) == "1"
    source.failing = True
    source.called.clear()
    source.now += 3600 - EARLY_S + 1
    keeping = asyncio.ensure_future(entra.keep(look_s=0.001))
    try:
        async with asyncio.timeout(60):
            await source.called.wait()
        assert await bearer(entra) == "1"
    finally:
        keeping.cancel()


async def test_without_a_token_the_failure_is_said_once_and_not_asked_for_by_everybody(
    entra: Entra, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.failing = True
    for _ in range(10):
        with pytest.raises(UpstreamError) as failed:
            await entra.headers()
        assert failed.value.code == "credential_unavailable"
        assert SECRET not in failed.value.message
    assert len(source.asked) == 1
    assert SECRET not in caplog.text
    source.failing = False
    source.now += 3
    assert await bearer(entra) == "2"


async def test_a_token_that_is_about_to_end_is_not_used(entra: Entra, source: Source) -> None:
    assert await bearer(entra) == "1"
    source.now += 3580
    assert await bearer(entra) == "2"


async def test_a_request_that_is_cancelled_leaves_nobody_waiting(entra: Entra, source: Source) -> None:
    source.open.clear()
    first = asyncio.ensure_future(entra.headers())
    await source.called.wait()
    second = asyncio.ensure_future(bearer(entra))
    first.cancel()
    source.open.set()
    async with asyncio.timeout(60):
        assert await second == "2"


async def test_a_token_that_the_service_refuses_is_replaced_once(source: Source, tmp_path: Path) -> None:
    stand_in = StandIn()
    async with before(stand_in, tmp_path, upstream="azure", token_source=source) as app:
        stand_in.fail("/client_secrets", refused(401, "401"))
        source.now = 2_000_000_000_000.0
        assert (await app.token())[0] == 200
        first, second = stand_in.requests("/client_secrets")
        assert first.headers["Authorization"] != second.headers["Authorization"]
        stand_in.asked.clear()
        stand_in.fail("/client_secrets", refused(401, "401"), refused(401, "401"))
        status, answer, _ = await app.token()
        assert (status, answer["error"]["code"]) == (502, "upstream_credential_refused")
        assert len(stand_in.asked) == 2
    assert source.closed


async def test_of_many_who_are_refused_with_one_token_one_throws_it_away(
    entra: Entra, source: Source
) -> None:
    shown = await entra.headers()
    assert entra.refused(shown)
    newer = await entra.headers()
    assert entra.refused(shown)
    assert await entra.headers() == newer
    assert len(source.asked) == 2


async def test_a_credential_that_cannot_be_had_is_a_clear_answer(
    source: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source.failing = True
    async with before(StandIn(), tmp_path, upstream="azure", token_source=source) as app:
        status, answer, headers = await app.token()
        connected, text, _ = await app.connect()
    assert (status, answer["error"]["code"]) == (503, "credential_unavailable")
    assert headers["Retry-After"] == "2"
    assert (connected, "credential_unavailable" in text) == (503, True)
    for secret in (SECRET, PROMPT):
        assert secret not in f"{answer}{text}{caplog.text}"


def test_what_tokens_are_asked_for() -> None:
    assert audience_of("https://mine.openai.azure.com") == COGNITIVE_SERVICES
    assert audience_of("https://mine.cognitiveservices.azure.com") == COGNITIVE_SERVICES
    assert audience_of("https://mine.services.ai.azure.com") == AI_FOUNDRY


def test_what_azure_identity_offers_is_what_is_used() -> None:
    identity = pytest.importorskip("azure.identity.aio")
    from vivavoz.app.upstream.entra import default_source

    assert isinstance(default_source(), identity.DefaultAzureCredential)
