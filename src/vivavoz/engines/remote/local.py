"""Which language model servers answer on this machine: to be offered by name, never used unasked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import Any

import aiohttp
import msgspec

LOCAL_SERVERS = {"Ollama": 11434, "llama.cpp": 8080, "vLLM": 8000}
"""Well-known servers and the loopback ports on which they listen by default."""

_LARGEST_ANSWER = 256 * 1024
_SHOWN = 3


async def probe_local(
    skip_ports: Collection[int] = (),
    *,
    servers: Mapping[str, int] | None = None,
    timeout_seconds: float = 0.5,
) -> list[str]:
    """A line for each server that answers ``GET /v1/models``: its name, base URL and first models.

    ``skip_ports``: ports that are our own. Sends no key and nothing else; never raises; takes at most
    ``timeout_seconds``.
    """
    candidates = LOCAL_SERVERS if servers is None else servers
    found: dict[str, str] = {}

    async def look(http: aiohttp.ClientSession, name: str, port: int) -> None:
        base = f"http://127.0.0.1:{port}/v1"
        try:
            async with asyncio.timeout(timeout_seconds), http.get(f"{base}/models") as response:
                body = await response.content.read(_LARGEST_ANSWER)
                models = _models(body) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return
        if models is not None:
            found[name] = f"{name} at {base}" + (f" (models: {', '.join(models)})" if models else "")

    async with aiohttp.ClientSession(trust_env=False) as http, asyncio.TaskGroup() as group:
        for name, port in candidates.items():
            if port not in skip_ports:
                group.create_task(look(http, name, port))
    return [found[name] for name in candidates if name in found]


def _models(body: bytes) -> list[str] | None:
    """The first model names; None: this is no model server, or it is vivavoz."""
    try:
        answer: Any = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return None
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        return None
    rows = [row for row in data if isinstance(row, dict) and isinstance(row.get("id"), str)]
    if any(row.get("owned_by") == "vivavoz" for row in rows):
        return None
    # Names come from another program: only what a name is made of reaches a log.
    names = [re.sub(r"[^\w./:@+-]", "", row["id"])[:80] for row in rows[:_SHOWN]]
    return [name for name in names if name] + (["..."] if len(rows) > _SHOWN else [])
