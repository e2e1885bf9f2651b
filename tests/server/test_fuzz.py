"""Broken bodies of every kind get an answer of the client's-mistake kind, and leave nothing behind."""

from __future__ import annotations

import json
import random
from typing import Any

import aiohttp
import pytest

from tests.server.fakes import KEY, Running, running
from tests.server.test_calls import BOUNDARY, GOOD_FORMS

SESSION: dict[str, Any] = {
    "expires_after": {"anchor": "created_at", "seconds": 60},
    "session": {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "look"},
        "max_output_tokens": "inf",
        "tracing": {"workflow_name": "w"},
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "turn_detection": {"type": "server_vad", "threshold": 0.5},
                "transcription": {"model": "whisper-1", "language": "en"},
                "noise_reduction": {"type": "near_field"},
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "x"}, "speed": 1.0},
        },
    },
}


def mutated(data: bytes, source: random.Random) -> bytes:
    """``data`` with a few bytes changed, doubled, moved or missing."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(changed)) if changed else 0
        end = min(len(changed), at + source.randint(1, 12))
        match source.randrange(5):
            case 0:
                del changed[at:end]
            case 1:
                changed[at:at] = changed[at:end]
            case 2:
                changed[at:end] = source.randbytes(end - at)
            case 3:
                changed[at:at] = source.choice(
                    [b"\r\n", b"--", b"\x00", b'"', b"{", b"null", b"1e999", b"\xff"]
                )
            case _:
                del changed[at:]
    return bytes(changed)


async def answer(server: Running, path: str, data: bytes, headers: dict[str, str]) -> int:
    async with server.http.post(
        server.url + path, data=data, headers={"api-key": KEY, **headers}
    ) as response:
        body = await response.read()
        if response.status >= 400:
            error = json.loads(body)["error"]
            assert error["message"]
            assert error["type"] == "invalid_request_error", error
        return response.status


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionParam")
@pytest.mark.parametrize("seed", range(3))
async def test_forms(seed: int) -> None:
    source = random.Random(seed)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with running() as server:
        statuses = []
        for _ in range(150):
            data = mutated(source.choice(list(GOOD_FORMS.values())), source)
            statuses.append(await answer(server, "/v1/realtime/calls", data, headers))
        assert set(statuses) <= {201, 400, 413}
        assert len(server.calls.opened) == statuses.count(201)


@pytest.mark.parametrize("seed", range(3))
async def test_json(seed: int) -> None:
    source = random.Random(seed)
    good = json.dumps(SESSION).encode()
    async with running() as server:
        assert await answer(server, "/v1/realtime/client_secrets", good, {}) == 200
        statuses = [
            await answer(server, "/v1/realtime/client_secrets", mutated(good, source), {}) for _ in range(150)
        ]
        assert set(statuses) <= {200, 400}


@pytest.mark.parametrize("depth", [100, 100_000])
async def test_deep_json(depth: int) -> None:
    body = b'{"session":{"type":"realtime","tools":' + b"[" * depth
    async with running() as server:
        assert await answer(server, "/v1/realtime/client_secrets", body, {}) == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_bodies_that_say_they_are_compressed_and_are_not(encoding: str) -> None:
    async with running() as server:
        for path in ("client_secrets", "calls"):
            headers = {"Content-Encoding": encoding, "Content-Type": "application/sdp"}
            try:
                status = await answer(server, f"/v1/realtime/{path}", b"v=0 not compressed", headers)
            except aiohttp.ClientConnectionError:
                continue
            assert status in (400, 415)
