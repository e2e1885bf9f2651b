"""What the application adds to the service behind it, to a token and to a call; how many tokens a core mints.

The service (scripted engines) and the application are processes of their own. Each round asks the service by
itself and the application in front of it, in turn, over connections that stay open; what is added is the
difference. Asked are ``vivavoz app`` and the application of ``vivavoz serve``, behind the worker's port.
The rate is taken from the processor time that ``vivavoz app`` used, with many askers at once.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from bench import rig

TOKEN_GOAL_MS = 15.0
CONNECT_GOAL_MS = 20.0
RATE_GOAL = 200.0
_ASKERS = 16
_KEY = "the-key-of-the-service"
_BEARER = {"Authorization": f"Bearer {_KEY}"}

_UNBOUNDED = {
    "VIVAVOZ_APP_BUDGETS_USER_PER_MINUTE": "0",
    "VIVAVOZ_APP_BUDGETS_ADDRESS_PER_MINUTE": "0",
    "VIVAVOZ_APP_OBSERVE": "false",
}

_OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=sctp-port:5000",
        "",
    ]
)


def run(*, quick: bool = False) -> dict[str, Any]:
    rounds, tokens = (40, 300) if quick else (400, 3000)
    with (
        rig.vivavoz(
            "scripted", environment={"VIVAVOZ_API_KEY": _KEY, "VIVAVOZ_PAGE": "open", **_UNBOUNDED}
        ) as service,
        tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder,
    ):
        port = rig.free_port()
        command = [str(Path(sys.executable).with_name("vivavoz")), "app", "--endpoint", service.url]
        environment = {
            "VIVAVOZ_PORT": str(port),
            "VIVAVOZ_STATE_DIR": folder,
            "VIVAVOZ_APP_UPSTREAM_KEY": _KEY,
            **_UNBOUNDED,
        }
        with rig.process(command, port, environment, Path(folder)) as application:
            rig.answers(f"{application.url}/api/app", application, 30)
            rig.answers(f"{service.url}/api/app", service, 30)
            figures = asyncio.run(_measure(service.url, application, rounds, tokens))
    rig.table(
        f"the application in front of the service, {rounds} rounds (ms)",
        ["", "p50", "p95", "service alone: p50", "p95", "added: p50", "p95", "goal (p95)"],
        [
            ["/token of vivavoz app", *figures["token"], TOKEN_GOAL_MS],
            ["/token of vivavoz serve", *figures["token_beside"], TOKEN_GOAL_MS],
            ["/connect of vivavoz app", *figures["connect"], CONNECT_GOAL_MS],
            ["/connect of vivavoz serve", *figures["connect_beside"], CONNECT_GOAL_MS],
        ],
    )
    rig.table(
        f"tokens, {_ASKERS} askers at once",
        ["tokens a second", "of one core's time (ms a token)", "tokens a second and core", "goal"],
        [[figures["rate"], figures["core_ms"], figures["rate_of_a_core"], RATE_GOAL]],
    )
    rig.write("app", figures)
    return figures


async def _measure(service: str, application: rig.Server, rounds: int, tokens: int) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http:
        token_rounds, call_rounds = [], []
        for _ in range(rounds):
            alone = await _timed(_mint(http, service))
            through = [await _timed(_token(http, url)) for url in (application.url, service)]
            token_rounds.append((alone, *through))
        for _ in range(rounds):
            alone = await _call(http, f"{service}/v1/realtime/calls", service)
            through = [await _call(http, f"{url}/connect", service) for url in (application.url, service)]
            call_rounds.append((alone, *through))
        before, began = rig.cpu_s(application.pid), time.perf_counter()
        left = iter(range(tokens))

        async def ask() -> None:
            for _ in left:
                await _token(http, application.url)

        async with asyncio.TaskGroup() as group:
            for _ in range(_ASKERS):
                group.create_task(ask())
        took, used = time.perf_counter() - began, rig.cpu_s(application.pid) - before
    return {
        "token": _compared([(alone, app) for alone, app, _ in token_rounds]),
        "token_beside": _compared([(alone, beside) for alone, _, beside in token_rounds]),
        "connect": _compared([(alone, app) for alone, app, _ in call_rounds]),
        "connect_beside": _compared([(alone, beside) for alone, _, beside in call_rounds]),
        "rate": tokens / took,
        "core_ms": used / tokens * 1000,
        "rate_of_a_core": tokens / used,
    }


def _compared(pairs: list[tuple[float, float]]) -> list[float]:
    """p50 and p95 of the application, of the service alone, and of what one adds to the other in a pair."""
    alone, through = [a for a, _ in pairs], [b for _, b in pairs]
    added = [b - a for a, b in pairs]
    return [rig.percentile(values, share) for values in (through, alone, added) for share in (50, 95)]


async def _timed(asking: Any) -> float:
    began = time.perf_counter()
    await asking
    return (time.perf_counter() - began) * 1000


async def _mint(http: aiohttp.ClientSession, service: str) -> None:
    url = f"{service}/v1/realtime/client_secrets"
    body = {"session": {"type": "realtime"}, "expires_after": {"anchor": "created_at", "seconds": 60}}
    async with http.post(url, json=body, headers=_BEARER) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def _token(http: aiohttp.ClientSession, application: str) -> None:
    async with http.get(f"{application}/token") as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def _call(http: aiohttp.ClientSession, url: str, service: str) -> float:
    """How long it took to be answered (ms); the call is hung up afterwards."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("sdp", _OFFER)
    headers = _BEARER if url.endswith("/calls") else {}
    began = time.perf_counter()
    async with http.post(url, data=form, headers=headers) as answer:
        await answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 201, await answer.text()
        call_id = answer.headers["Location"].rpartition("/")[2]
    async with http.post(f"{service}/v1/realtime/calls/{call_id}/hangup", headers=_BEARER) as ended:
        assert ended.status == 200
    return took
