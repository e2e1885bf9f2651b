"""What a script lets go wrong around the engines, made to go wrong: refused and late openings, connections
that break, packets that are lost. Everything is counted or seeded, nothing is left to chance."""

from __future__ import annotations

import asyncio
from pathlib import Path

from vivavoz.call.tap import Tap
from vivavoz.config import ConfigError, Testing
from vivavoz.engines.ports import Engines
from vivavoz.engines.scripted import Script, ScriptedEngines
from vivavoz.engines.scripted.faults import Drop, Faults, RateLimit
from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.server.errors import ApiError
from vivavoz.testing.event_log import CallLog, EventLog
from vivavoz.testing.lossy import LossyEngine
from vivavoz.transports.port import Transport
from vivavoz.transports.websocket import WebSocketTransport
from vivavoz.wire.translation import AnyServerEvent


class Harness:
    """Test mode of one worker: stands where calls are opened, at every call's ear, and on the media path."""

    def __init__(self, testing: Testing, engines: Engines, log: EventLog | None = None) -> None:
        """``log`` None: the one that ``testing`` names. Raises ConfigError where it cannot be written."""
        self._testing = testing
        self._engines = engines
        self._faults = Faults()
        self._attempts = self._calls = self._sessions = 0
        self.log = log or _log(testing)
        if isinstance(engines, ScriptedEngines):
            self.use(engines.script)

    @property
    def idle(self) -> bool:
        """Whether there is nothing for it to do."""
        return self.log is None and not self._faults and not self._testing.deterministic

    @property
    def faults(self) -> Faults:
        return self._faults

    def use(self, script: Script) -> None:
        """Calls opened from now on follow ``script``; what its faults count is counted from now."""
        if self._testing.time == "virtual":
            script = script.in_no_time()
        if isinstance(self._engines, ScriptedEngines):
            self._engines.script = script
        self._faults = script.faults
        self._attempts = self._calls = 0

    def media(self, config: MediaConfig) -> LeanEngine:
        return LossyEngine(config, lambda: self._faults.lost_packets)

    async def admit(self) -> None:
        """One attempt to open a call. Raises ApiError where the script refuses it."""
        self._attempts += 1
        attempt, faults = self._attempts, self._faults
        if late := faults.late(attempt):
            await asyncio.sleep(late / 1000)
        refusal = faults.refusal(attempt)
        if isinstance(refusal, RateLimit):
            raise ApiError(
                429,
                refusal.message,
                code="rate_limit_exceeded",
                type="rate_limit_error",
                headers={"Retry-After": str(refusal.retry_after_s)},
            )
        if refusal is not None:
            raise ApiError(refusal.status, refusal.message, code=refusal.code, type=refusal.type)

    def session_id(self) -> str:
        """The id of a session that is agreed on before its call is opened (client secrets)."""
        self._sessions += 1
        return f"sess_{self._sessions:032x}"

    def open_tap(self, number: int, call_id: str) -> Tap:
        self._calls += 1
        log = self.log.open(number, call_id) if self.log is not None else None
        return CallTap(log, self._faults.drop_of(self._calls))

    def close(self) -> None:
        if self.log is not None:
            self.log.close()


class CallTap:
    """Hears one call, and breaks its connection when its time has come."""

    def __init__(self, log: CallLog | None, drop: Drop | None) -> None:
        self._log = log
        self._drop = drop
        self._transport: Transport | None = None
        self._sent = 0
        self._dropped = False
        self._timer: asyncio.Handle | None = None

    def attached(self, transport: Transport) -> None:
        self._transport = transport
        if self._drop is not None and self._drop.after_ms is not None:
            delay = self._drop.after_ms / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._break)

    def received(self, sender: str, data: str | bytes) -> None:
        if self._log is not None and not self._dropped:
            self._log.received(sender, data)

    def sent(self, event: AnyServerEvent, to: str | None) -> None:
        limit = self._drop.after_events if self._drop is not None else None
        if limit is not None and self._sent >= limit:
            self._break()
        if self._dropped:
            return
        self._sent += 1
        if self._log is not None:
            self._log.sent(event, to)
        if self._sent == limit:
            # Once this one is on its way; should another follow at once, before that one.
            self._timer = asyncio.get_running_loop().call_soon(self._break)

    def closed(self, code: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._log is not None:
            self._log.closed(code)

    def _break(self) -> None:
        if self._dropped or self._transport is None:
            return
        self._dropped = True
        if isinstance(self._transport, WebSocketTransport):
            self._transport.drop()
        else:
            self._transport.close(1006, "dropped by the script")


def _log(testing: Testing) -> EventLog | None:
    if testing.event_log is None:
        return None
    try:
        return EventLog(Path(testing.event_log), timed=not testing.deterministic)
    except OSError as error:
        raise ConfigError(f"the event log {testing.event_log} cannot be written: {error.strerror}") from error
