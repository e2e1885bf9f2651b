"""Processes that die, stall, hang or cannot load; and that nothing of them stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from vivavoz.engines.ports import EngineError
from vivavoz.engines.process.client import EngineClient

from .conftest import TIMING, Start, ask, told, toy_spec


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status == "Z"


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while not gone(pid):  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("blow", "codes"),
    [
        (signal.SIGKILL, {"engine_unavailable"}),
        # Where the supervisor is the first to notice, it kills the process before this client does.
        (signal.SIGSTOP, {"engine_stalled", "engine_unavailable"}),
    ],
)
async def test_a_killed_or_stopped_process_fails_its_job_by_name_and_the_next_one_works(
    start: Start, blow: signal.Signals, codes: set[str]
) -> None:
    supervisor, clients = await start(toy_spec("a"), toy_spec("b"))
    a, b = clients["a"], clients["b"]
    pid = supervisor.processes["a"].pid
    assert pid is not None
    async with (
        aclosing(a.stream("reply", [[], {"model": "toy", "instructions": "forever"}])) as struck,
        aclosing(b.stream("reply", [[], {"model": "toy", "instructions": "count"}])) as other,
    ):
        assert await anext(struck)
        assert await anext(other)
        os.kill(pid, blow)
        async with asyncio.timeout(60):
            with pytest.raises(EngineError) as failed:
                await anext(struck)
        assert failed.value.code in codes
        assert [data[1] async for data in other][-1] == "999"
    assert int(await told(a, "pid")) != pid
    await until_gone(pid)
    assert supervisor.processes["a"].restarts == 1
    assert supervisor.processes["b"].restarts == 0


async def test_a_model_that_hangs_takes_its_process_down_and_the_next_job_works(start: Start) -> None:
    supervisor, clients = await start(toy_spec())
    with pytest.raises(EngineError) as failed:
        await ask(clients["toy"], "hang")
    assert failed.value.code in ("engine_stalled", "engine_unavailable")
    assert await told(clients["toy"], "pid")
    assert supervisor.processes["toy"].restarts == 1


async def test_a_busy_model_does_not_look_stalled(start: Start) -> None:
    supervisor, clients = await start(toy_spec())
    for _ in range(3):
        assert await told(clients["toy"], "hog") == "done"
    assert supervisor.processes["toy"].restarts == 0


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"fails": "fetch it first"}, "engine_absent", "fetch it first"),
        ({"breaks": True}, "engine_failed", "RuntimeError"),
    ],
)
async def test_an_engine_that_cannot_load_says_so_and_is_not_restarted_in_a_loop(
    start: Start, options: dict[str, object], code: str, text: str
) -> None:
    supervisor, clients = await start(toy_spec(**options))
    state = (await supervisor.settled())["toy"]
    assert (state.state, state.code) == ("failed", code)
    with pytest.raises(EngineError, match=text) as failed:
        await ask(clients["toy"], "pid")
    assert failed.value.code == code
    assert supervisor.processes["toy"].restarts == 0


async def test_jobs_that_come_while_it_restarts_wait_for_it(start: Start) -> None:
    supervisor, clients = await start(toy_spec())
    pid = supervisor.processes["toy"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until_gone(pid)
    answers = await asyncio.gather(*(told(clients["toy"], "pid") for _ in range(5)), return_exceptions=True)
    # A job that was sent before the end was noticed fails by name; the others are served by the new process.
    served = {answer for answer in answers if isinstance(answer, str)}
    assert all(isinstance(answer, str | EngineError) for answer in answers)
    assert str(pid) not in served
    assert await told(clients["toy"], "pid") not in ("", str(pid))


async def test_the_wait_for_a_process_is_bounded(tmp_path: Path) -> None:
    impatient = EngineClient(tmp_path / "nobody.sock", "toy", TIMING.__class__(ready_s=0.05))
    await impatient.start()
    with pytest.raises(EngineError) as failed:
        await ask(impatient, "pid")
    assert failed.value.code == "engine_unavailable"
    await impatient.stop()


async def test_processes_run_at_lower_priority_in_a_private_directory(start: Start) -> None:
    supervisor, clients = await start(toy_spec())
    assert int(await told(clients["toy"], "nice")) == os.nice(0) + 1
    assert stat.S_IMODE(supervisor.directory.stat().st_mode) == 0o700


async def test_stopping_leaves_no_process_and_no_socket(start: Start) -> None:
    supervisor, _ = await start(toy_spec("a"), toy_spec("b"))
    pids = [process.pid for process in supervisor.processes.values()]
    directory = supervisor.directory
    # Not even one that is stopped and cannot listen.
    os.kill(pids[0] or 0, signal.SIGSTOP)
    await supervisor.stop()
    assert all(gone(pid) for pid in pids if pid)
    assert not directory.exists()


async def test_the_directory_of_a_killed_supervisor_is_swept(start: Start, tmp_path: Path) -> None:
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    left = tmp_path / f"vivavoz-engines-{dead.pid}-x"
    left.mkdir()
    await start(toy_spec())
    assert not left.exists()


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio
        from vivavoz.engines.process.child import Spec
        from vivavoz.engines.process.supervisor import Supervisor

        async def main():
            supervisor = Supervisor([Spec(name="toy", factory="toy:Toy")])
            await supervisor.start()
            await supervisor.settled()
            print(supervisor.processes["toy"].pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "XDG_RUNTIME_DIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environ)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 30
    while not gone(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert gone(child)
