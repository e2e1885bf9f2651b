"""A stored prompt from end to end: minted, in the session, and in a response."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from tests.server.test_end_to_end import KEY, config, serving


async def test_a_prompt_of_the_operators(tmp_path: Path) -> None:
    (tmp_path / "greeter.md").write_text("Greet {{name}}.")
    prompt: Any = {"id": "greeter", "variables": {"name": "Ana"}}
    async with (
        serving(config(tmp_path, prompts_dir=str(tmp_path)), KEY) as url,
        asyncio.timeout(60),
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
    ):
        secret: Any = await client.realtime.client_secrets.create(
            session={"type": "realtime", "prompt": prompt}
        )
        assert secret.session.instructions == "Greet Ana."
        assert secret.session.prompt.id == "greeter"
        with pytest.raises(BadRequestError, match="does not exist"):
            await client.realtime.client_secrets.create(
                session={"type": "realtime", "prompt": {"id": "nobody"}}
            )
        async with (
            AsyncOpenAI(base_url=url + "/v1", api_key=secret.value) as guest,
            guest.realtime.connect() as connection,
        ):
            created: Any = await connection.recv()
            assert created.session.instructions == "Greet Ana."
            await connection.session.update(session={"type": "realtime", "prompt": {"id": "nobody"}})
            refused: Any = await connection.recv()
            assert refused.error.code == "prompt_not_found"
            await connection.session.update(session={"type": "realtime", "prompt": None})
            updated: Any = await connection.recv()
            assert updated.session.prompt is None
