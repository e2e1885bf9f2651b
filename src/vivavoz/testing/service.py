"""A whole service in a thread of this process, for tests: on loopback, on ports of its own."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from vivavoz import worker
from vivavoz.assembly import Plan
from vivavoz.config import Config, Limits, Secrets, Server, Testing
from vivavoz.engines.ports import Engines
from vivavoz.engines.scripted import Script
from vivavoz.engines.scripted.script import ScriptError
from vivavoz.testing.event_log import EventLog, RecordedCall
from vivavoz.testing.harness import Harness

API_KEY = "vivavoz-test-key"

STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 15.0

ScriptSource: TypeAlias = "str | Path | Mapping[str, Any] | Script"
"""TOML text, a file, or what such a file would hold."""


class Vivavoz:
    """A running service, and what its calls exchanged. Made by :func:`running`, or by the pytest fixture."""

    def __init__(self, port: int, harness: Harness, log: EventLog, loop: asyncio.AbstractEventLoop) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        """What Azure's clients call the endpoint."""
        self.base_url = f"{self.origin}/v1"
        """As the OpenAI SDKs want it (``OPENAI_BASE_URL``)."""
        self.ws_url = f"ws://127.0.0.1:{port}/v1"
        """The same for clients that ask for a WebSocket address; sessions are at ``/realtime`` under it."""
        self.api_key = API_KEY
        self._harness = harness
        self._log = log
        self._loop = loop

    def script(self, source: ScriptSource, faults: Mapping[str, Any] | None = None) -> None:
        """Calls opened from now on follow this script; its ``faults`` count attempts and calls from now.

        ``faults`` replaces the script's own table of that name. Raises
        :class:`~vivavoz.engines.scripted.ScriptError`.
        """
        script = make_script(source, faults)
        taken = threading.Event()

        def take() -> None:
            self._harness.use(script)
            taken.set()

        self._loop.call_soon_threadsafe(take)
        if not taken.wait(ENDS_WITHIN_S):
            raise TimeoutError("the service did not take the script: its thread is stuck")

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls opened so far, in order; what they exchanged grows while they live."""
        return list(self._log.calls)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event that was sent to a client so far, call after call."""
        return [event for call in self.calls for event in call.server_events]

    def settle(self, within_s: float = 5.0) -> None:
        """Wait until every call has ended: what a client sent last has been handled then, or never will be.
        Blocks; in an asyncio test, ``await asyncio.to_thread(vivavoz.settle)``. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while alive := [call for call in self.calls if call.ended is None]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still open after {within_s:g} s: {alive}")
            time.sleep(0.01)


def make_script(source: ScriptSource, faults: Mapping[str, Any] | None = None) -> Script:
    """Raises :class:`~vivavoz.engines.scripted.ScriptError`."""
    if isinstance(source, Script):
        script = source
    elif isinstance(source, Path):
        script = Script.load(source)
    elif isinstance(source, str):
        script = Script.parse(source)
    elif isinstance(source, Mapping):
        script = Script.of(source)
    else:
        raise ScriptError(f"a script is TOML text, a Path or a dict, not {type(source).__name__}")
    if faults is not None:
        script = msgspec.structs.replace(script, faults=Script.of({"faults": dict(faults)}).faults)
    return script


@contextlib.contextmanager
def running(
    script: ScriptSource | None = None,
    *,
    faults: Mapping[str, Any] | None = None,
    time: Literal["real", "virtual"] = "virtual",
    deterministic: bool = True,
    event_log: str | Path | None = None,
) -> Iterator[Vivavoz]:
    """Run the service until the block ends.

    ``time``: ``virtual`` leaves out the delays of the script, ``real`` waits for them. ``event_log``: a file
    for what ``calls`` holds, as ``vivavoz serve --event-log`` writes it. Raises ScriptError, ConfigError,
    TimeoutError where it does not start or end.
    """
    chosen = make_script(Script.default() if script is None else script, faults)
    testing = Testing(deterministic=deterministic, time=time)
    log = EventLog(Path(event_log) if event_log else None, timed=not deterministic, keep=True)
    with (
        tempfile.TemporaryDirectory(prefix="vivavoz-") as folder,
        _Thread(testing, chosen, log, folder) as it,
    ):
        yield it.service


class _Thread:
    """The worker's thread: started, waited for, ended and joined."""

    def __init__(self, testing: Testing, script: Script, log: EventLog, folder: str) -> None:
        self._config = Config(
            default_engines="scripted",
            server=Server(port=0, udp_port=0, page="off", state_dir=folder, drain_seconds=0.0),
            testing=testing,
            limits=Limits(pace_ms=0.0),  # machines of tests are busy
        )
        self._script = script
        self._log = log
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._harness: Harness | None = None
        self._ending: worker.Ending | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._run, name="vivavoz", daemon=True)

    @property
    def service(self) -> Vivavoz:
        assert self._harness is not None
        assert self._loop is not None
        return Vivavoz(self._port, self._harness, self._log, self._loop)

    def __enter__(self) -> _Thread:
        self._thread.start()
        if not self._started.wait(STARTS_WITHIN_S):
            raise TimeoutError(f"vivavoz did not start within {STARTS_WITHIN_S:g} s")
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        # A loop that is closed already has ended by itself; the failure below says why.
        with contextlib.suppress(RuntimeError):
            if self._loop is not None and self._ending is not None:
                self._loop.call_soon_threadsafe(self._ending.ask)
        self._thread.join(ENDS_WITHIN_S)
        if self._thread.is_alive():
            raise TimeoutError(f"vivavoz did not end within {ENDS_WITHIN_S:g} s")
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            worker.run_in_loop(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = worker.Ending()
        plan = Plan(config=self._config)
        await worker.run(plan, Secrets((API_KEY,)), self._ending, self._listening, self._make_harness)

    def _listening(self, port: int) -> None:
        self._port = port
        self._started.set()

    def _make_harness(self, testing: Testing, engines: Engines) -> Harness:
        self._harness = Harness(testing, engines, self._log)
        self._harness.use(self._script)
        return self._harness
