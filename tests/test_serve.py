"""``vivavoz serve`` as a process: how it starts, refuses, drains, and survives its workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.test_end_to_end import OFFER
from tests.waiting import until
from vivavoz.config import Config, Secrets, Server
from vivavoz.supervise import Supervisor

KEY = "a-key-of-ours"
AUTH = {"Authorization": f"Bearer {KEY}"}
PATIENCE_S = 90.0
"""For a busy machine: nothing here is measured."""


class Service:
    """A running ``vivavoz serve`` and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process, temp: Path) -> None:
        self.process = process
        self.temp = temp
        self.said = ""
        self.url = ""

    async def listen(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said += line.decode()

    async def hears(self, pattern: str, times: int = 1) -> re.Match[str]:
        await until(lambda: len(re.findall(pattern, self.said)) >= times, PATIENCE_S)
        return list(re.finditer(pattern, self.said))[times - 1]

    async def code(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def service(folder: Path, *arguments: str, key: str = KEY, **extra: str) -> AsyncIterator[Service]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIVAVOZ_")}
    environment |= {"TMPDIR": str(folder), "VIVAVOZ_STATE_DIR": str(folder / "state"), **extra}
    if key:
        environment["VIVAVOZ_API_KEY"] = key
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "vivavoz.cli",
        "serve",
        "--engines",
        "scripted",
        *arguments,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    found = Service(process, folder)
    async with asyncio.TaskGroup() as group:
        group.create_task(found.listen())
        try:
            yield found
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def listening(folder: Path, *arguments: str, **extra: Any) -> AsyncIterator[Service]:
    extra = {"VIVAVOZ_DRAIN_SECONDS": "0.1", **extra}
    async with service(folder, "--port", "0", "--udp-port", "0", *arguments, **extra) as found:
        found.url = (await found.hears(r"listening on (https?://[^/]+)/")).group(1)
        yield found


# --------------------------------------------------------------------------- starting, or not


@pytest.mark.parametrize(
    ("arguments", "key", "says"),
    [
        (["--host", "0.0.0.0"], "", "set VIVAVOZ_API_KEY"),
        (["--host", "::"], "", "set VIVAVOZ_API_KEY"),
        (["--port", "x"], KEY, "--port: expected `int`"),
        (["--config", "/does/not/exist.toml"], KEY, "/does/not/exist.toml: cannot be read"),
        (["--script", "/does/not/exist.toml"], KEY, "the script /does/not/exist.toml cannot be used"),
        (["--engines", "nope"], KEY, "no set is called 'nope'"),
    ],
)
async def test_what_cannot_work_is_refused_by_name(
    arguments: list[str], key: str, says: str, tmp_path: Path
) -> None:
    async with service(tmp_path, "--port", "0", "--udp-port", "0", *arguments, key=key) as found:
        assert await found.code() == 2
        await until(lambda: says in found.said)
        assert "Traceback" not in found.said


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_port_in_use_is_named(workers: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with service(tmp_path, "--port", port, "--udp-port", "0", "--workers", workers) as found:
            assert await found.code() == 2
            await until(lambda: f"TCP port {port} on 127.0.0.1 is in use" in found.said)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_media_port_in_use_is_named(workers: str, tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        async with service(tmp_path, "--port", "0", "--udp-port", port, "--workers", workers) as found:
            assert await found.code() == 2
            await until(lambda: f"UDP port {port} on 127.0.0.1 is in use" in found.said)


async def test_a_tcp_media_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        arguments = ("--port", "0", "--udp-port", "0", "--tcp-media-port", port)
        async with service(tmp_path, *arguments) as found:
            assert await found.code() == 2
            await until(lambda: f"TCP port {port} on 127.0.0.1 is in use" in found.said)
            assert "--tcp-media-port" in found.said


async def test_media_over_tcp_is_named_in_answers_and_listened_to(tmp_path: Path) -> None:
    async with (
        listening(tmp_path, "--tcp-media-port", "0") as found,
        aiohttp.ClientSession(headers={**AUTH, "Content-Type": "application/sdp"}) as http,
    ):
        async with http.post(found.url + "/v1/realtime/calls", data=OFFER) as answer:
            candidates = re.findall(
                r"^a=candidate:\d+ 1 tcp \d+ (\S+) (\d+) typ host", await answer.text(), re.M
            )
        ((host, port),) = candidates
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("tcp_port", "of_workers"), [(None, [None, None]), (0, [0, 0]), (3478, [3478, 3479])]
)
def test_each_worker_has_its_own_media_ports(
    tcp_port: int | None, of_workers: list[int | None], tmp_path: Path
) -> None:
    config = Config(server=Server(workers=2, udp_port=3478, tcp_media_port=tcp_port, page="off"))
    supervisor = Supervisor(config, Secrets((KEY,)), tmp_path)
    plans = [supervisor._plan(index).config.server for index in range(2)]
    assert [plan.udp_port for plan in plans] == [3478, 3479]
    assert [plan.tcp_media_port for plan in plans] == of_workers


async def test_without_a_key_it_says_so_and_the_key_is_never_said(tmp_path: Path) -> None:
    async with listening(tmp_path, key="") as found:
        assert "no key is configured" in found.said
    async with listening(tmp_path, "--log-level", "debug") as found, aiohttp.ClientSession() as http:
        async with http.post(f"{found.url}/v1/realtime/client_secrets?api-key={KEY}") as answer:
            token = (await answer.json())["value"]
        async with http.ws_connect(f"{found.url}/v1/realtime?api-key={token}") as websocket:
            await websocket.receive_str()
        found.process.terminate()
        assert await found.code() == 0
        assert KEY not in found.said
        assert token not in found.said


# --------------------------------------------------------------------------- ending


async def test_sigterm_lets_calls_finish_takes_no_new_ones_and_ends_with_0(tmp_path: Path) -> None:
    async with (
        listening(tmp_path, VIVAVOZ_DRAIN_SECONDS="60") as found,
        aiohttp.ClientSession(headers=AUTH) as http,
    ):
        url = found.url + "/v1/realtime?model=m"
        async with http.ws_connect(url) as websocket:
            await websocket.receive_json()
            found.process.terminate()
            await found.hears("ending: no new calls; 1 calls")
            async with http.post(
                found.url + "/v1/realtime/calls", data=OFFER, headers={"Content-Type": "application/sdp"}
            ) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert (await answer.json())["error"]["code"] == "server_draining"
            async with http.get(found.url + "/readyz") as answer:
                assert answer.status == 503
                assert (await answer.json())["status"] == "draining"
            await websocket.send_json({"type": "session.update", "session": {"type": "realtime"}})
            assert (await websocket.receive_json())["type"] == "session.updated"
        assert await found.code() == 0


async def test_calls_that_do_not_finish_are_ended(tmp_path: Path) -> None:
    async with (
        listening(tmp_path, VIVAVOZ_DRAIN_SECONDS="0.1") as found,
        aiohttp.ClientSession(headers=AUTH) as http,
        http.ws_connect(found.url + "/v1/realtime?model=m") as websocket,
    ):
        await websocket.receive_json()
        found.process.terminate()
        message = await websocket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert await found.code() == 0


async def test_a_second_signal_waits_for_nothing(tmp_path: Path) -> None:
    async with (
        listening(tmp_path, VIVAVOZ_DRAIN_SECONDS="3600") as found,
        aiohttp.ClientSession(headers=AUTH) as http,
        http.ws_connect(found.url + "/v1/realtime?model=m") as websocket,
    ):
        await websocket.receive_json()
        found.process.terminate()
        await found.hears("ending: no new calls")
        found.process.terminate()
        assert await found.code() == 0
        assert "second time" in found.said


# --------------------------------------------------------------------------- several workers


def sockets(found: Service) -> dict[str, Path]:
    """The workers' unix sockets by tag."""
    return {path.stem: path for path in found.temp.glob("vivavoz-workers-*/*.sock")}


async def a_call(http: aiohttp.ClientSession) -> str:
    headers = {**AUTH, "Content-Type": "application/sdp"}
    async with http.post("http://localhost/v1/realtime/calls", data=OFFER, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        return answer.headers["Location"].rsplit("/", 1)[1]


async def test_a_sideband_and_a_hangup_at_the_wrong_worker_work(tmp_path: Path) -> None:
    async with listening(tmp_path, "--workers", "2") as found:
        at = sockets(found)
        assert sorted(at) == ["00", "01"]
        owner = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(at["01"])))
        wrong = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(at["00"])))
        async with owner, wrong, asyncio.timeout(PATIENCE_S):
            call_id = await a_call(owner)
            assert call_id.startswith("rtc_01")
            url = f"http://localhost/v1/realtime?call_id={call_id}"
            async with wrong.ws_connect(url, headers=AUTH) as sideband:
                await sideband.send_json({"type": "session.update", "session": {"type": "realtime"}})
                assert (await sideband.receive_json())["type"] in ("session.updated", "session.created")
                hangup = f"http://localhost/v1/realtime/calls/{call_id}/hangup"
                async with wrong.post(hangup, headers=AUTH) as answer:
                    assert answer.status == 200
                while (message := await sideband.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
            async with wrong.post(hangup, headers=AUTH) as answer:
                assert answer.status == 404
        found.process.terminate()
        assert await found.code() == 0
        assert not sockets(found)


async def test_a_crashed_worker_comes_back_and_the_other_goes_on(tmp_path: Path) -> None:
    async with listening(tmp_path, "--workers", "2") as found:
        at = sockets(found)
        steady = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(at["00"])), headers=AUTH)
        async with steady, steady.ws_connect("http://localhost/v1/realtime?model=m") as websocket:
            await websocket.receive_json()
            await found.hears(r"\[01\] vivavoz.engines: engines scripted ready")
            os.kill(await worker_pid(found, "01"), signal.SIGKILL)
            await found.hears(r"worker 01 ended \(status -9\)")
            await found.hears(r"\[01\] vivavoz.engines: engines scripted ready", times=2)
            await websocket.send_json({"type": "session.update", "session": {"type": "realtime"}})
            assert (await websocket.receive_json())["type"] == "session.updated"
            reborn = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(at["01"])), headers=AUTH)
            async with reborn:
                assert (await a_call(reborn)).startswith("rtc_01")
        found.process.terminate()
        assert await found.code() == 0


async def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    async with listening(tmp_path, "--workers", "2") as found:
        pids = [await worker_pid(found, tag) for tag in ("00", "01")]
        found.process.kill()
        await until(lambda: not any(alive(pid) for pid in pids), PATIENCE_S)


async def worker_pid(found: Service, tag: str) -> int:
    match = await found.hears(rf"worker {tag} is process (\d+)")
    return int(match.group(1))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
