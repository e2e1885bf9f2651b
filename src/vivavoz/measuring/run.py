"""The measurement of an endpoint, from the first call to the last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from vivavoz.measuring.endpoint import Endpoint, Trouble, is_near, own_addresses
from vivavoz.measuring.inbox import Ended
from vivavoz.measuring.line import Line, Transport, called
from vivavoz.measuring.peer import Peers
from vivavoz.measuring.report import Measured, Report
from vivavoz.measuring.setup import Setup, set_up
from vivavoz.measuring.speech import Source, Speech, speech
from vivavoz.measuring.streams import Streams, listen
from vivavoz.measuring.turns import Turns, converse

LONGEST_S = 600.0
"""After which it ends, whatever is left."""

Progress = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True):
    """``calls`` at once, heard for ``seconds``; the other numbers are of each transport."""

    transports: tuple[Transport, ...]
    calls: int
    seconds: float
    turns: int
    setups: int
    round_trips: int
    window_ms: int
    wav: tuple[Path, ...] = ()
    voice: Source = "auto"
    remote: bool = False


async def measure(endpoint: Endpoint, plan: Plan, report: Report, progress: Progress) -> None:
    """``report`` grows as figures come. Raises :class:`Trouble` where nothing may or can be measured."""
    addresses = await endpoint.addresses()
    if not plan.remote and not all(is_near(each) for each in addresses):
        raise Trouble(
            f"{endpoint.host} is neither this machine nor in a private network. Minutes of speech cost money "
            "there, the network is measured with it, and others share it: --yes-remote if you want that"
        )
    hosts = own_addresses(next((each for each in addresses if ":" not in each), "127.0.0.1"))
    try:
        async with asyncio.timeout(LONGEST_S), endpoint.opened():
            scripted = plan.voice == "auto" and not plan.wav and await endpoint.is_scripted()
            said = await asyncio.to_thread(speech, plan.wav, plan.voice, scripted=scripted)
            report.speech = said.source
            for transport in plan.transports:
                measured = Measured(transport, Setup(), Turns(float(plan.window_ms)))
                report.measured.append(measured)
                await _Transport(endpoint, plan, measured, hosts, progress).run(said)
    except TimeoutError:
        report.notes.append(f"ended after {LONGEST_S / 60:g} minutes, with what was measured until then")
    without = [each.transport for each in report.measured if not each.setup.steps]
    if len(report.measured) == 2 and without == ["webrtc"]:
        report.notes.append("measured over WebSocket alone: no call came about over WebRTC")
    if len(report.measured) == 2 and without == ["websocket"]:
        report.notes.append("measured over WebRTC alone: no call came about over WebSocket")


class _Transport:
    """One transport's share; what fails is written down, and the rest goes on."""

    def __init__(
        self, endpoint: Endpoint, plan: Plan, measured: Measured, hosts: list[str], progress: Progress
    ) -> None:
        self._endpoint = endpoint
        self._plan = plan
        self._measured = measured
        self._hosts = hosts
        self._progress = progress
        self._shared = Peers()

    async def run(self, said: Speech) -> None:
        plan, measured = self._plan, self._measured
        await self._phase(
            "set-up", set_up(self._call, plan.setups, plan.round_trips, measured.setup, self._over)
        )
        if not measured.setup.steps:
            return
        await self._phase("turns", self._turns(said))
        for calls in dict.fromkeys((1, plan.calls)):
            streams = Streams(calls)
            measured.streams.append(streams)
            await self._phase(f"{calls} at once", self._streams(streams))

    async def _phase(self, name: str, work: Awaitable[None]) -> None:
        self._progress(f"{self._measured.transport}: {name}")
        try:
            await work
        except (Trouble, Ended, TimeoutError) as error:
            self._measured.troubles.append(f"{name}: {error}")

    @contextlib.asynccontextmanager
    async def _call(self) -> AsyncIterator[Line]:
        async with called(self._measured.transport, self._endpoint, self._shared, self._hosts) as line:
            yield line

    def _over(self, line: Line) -> None:
        self._measured.conformance.look(line.inbox)

    async def _turns(self, said: Speech) -> None:
        async with self._call() as line:
            try:
                await converse(line, said.utterances, self._plan.turns, self._measured.turns)
            finally:
                self._over(line)

    async def _streams(self, found: Streams) -> None:
        async with contextlib.AsyncExitStack() as calls:
            lines = [await calls.enter_async_context(self._call()) for _ in range(found.calls)]
            try:
                await listen(lines, self._plan.seconds, found)
            finally:
                found.undecodable = sum(line.listener.undecodable for line in lines if line.listener)
                self._measured.troubles += [
                    f"{found.calls} at once: {reason}" for reason in dict.fromkeys(found.failed)
                ]
                for line in lines:
                    self._over(line)
