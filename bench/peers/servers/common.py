"""What the servers under measurement have in common: HTTP, the sound they send, the count of what they heard.

Each is a script, ``serve_X.py PORT [--echo]``, and runs with the interpreter that has its packages; none
imports anything of ours but ``serve_ours.py``. ``POST /v1/realtime/calls`` takes an offer, ``GET /stats``
says how many seconds of sound were decoded. Without ``--echo`` a tone is sent all the time, with it what
came. Messages of the data channel go back as they came.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from aiohttp import web

RATE = 24_000


class Backend(Protocol):
    heard: float
    """Seconds of sound decoded to PCM, all calls together."""

    async def start(self) -> None: ...

    async def answer(self, offer: str) -> str: ...


def tone(seconds: float, rate: int = RATE) -> bytes:
    """Harmonics of 180 Hz that swell: something a codec must work for, as for a voice. PCM16LE, mono."""
    at = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * 180 * n * at) / n for n in range(1, 10))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * at)
    return bytes((wave / np.abs(wave).max() * swell * 12_000).astype("<i2").tobytes())


def only_loopback() -> None:
    """aioice leaves loopback addresses out, which are what two processes here have."""
    import aioice.ice

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def main(backend: Callable[[bool], Backend], *, loop: Callable[[], Any] | None = None) -> None:
    """Serve until killed. ``backend`` is given whether to echo."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--echo", action="store_true")
    parsed = parser.parse_args()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(backend(parsed.echo), parsed.port))


async def _serve(backend: Backend, port: int) -> None:
    await backend.start()

    async def calls(request: web.Request) -> web.Response:
        return web.Response(status=201, text=await backend.answer(await request.text()))

    async def stats(request: web.Request) -> web.Response:
        return web.json_response({"heard": backend.heard})

    async def tidy(request: web.Request) -> web.Response:
        gc.collect()
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/v1/realtime/calls", calls), web.get("/stats", stats), web.post("/tidy", tidy)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()
