"""All observed calls: each has a task of its own, and none can disturb another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from vivavoz.app.errors import AppError, where
from vivavoz.app.observer.observer import Keeping, Observer
from vivavoz.app.observer.ports import CallInfo, CallSummary, Observed
from vivavoz.app.observer.tools import Toolbox
from vivavoz.app.observer.watching import Watches
from vivavoz.app.upstream.port import LiveCall, UpstreamError

log = logging.getLogger("vivavoz.app")

MAX_LIVE = 1000
MAX_ENDED = 200
"""Calls that are over and still shown."""
MAX_LISTED = 10_000
MAX_CRASHES = 3
LIST_WAIT_S = 25.0
LIST_PAUSE_S = 0.2
LIST_RETRY_S = 2.0
GRACE_S = 0.5
"""A call that the service lists may be one whose answer is just on its way through us."""
LAST_EVENTS_S = 2.0
"""How long a call that is not listed any more may take to close its connection."""
_SUMMARY = CallSummary.__struct_fields__


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What calls are, to the application."""

    tools: Callable[[str], Toolbox] = lambda profile: Toolbox()
    """Of a profile's name."""
    session: Callable[[str], Mapping[str, Any] | None] = lambda profile: None
    """What the service is asked for, of a profile's name."""
    found: Callable[[LiveCall], CallInfo | None] = lambda call: None
    """A call that began with a token; None: it is not to be observed."""
    began: Callable[[CallInfo], None] = lambda info: None
    """A call was found: by the service's list, by its browser, or as one of the run before."""
    ended: Callable[[CallInfo, float], None] = lambda info, at: None


class Observers:
    """``run`` owns the tasks; calls that are ``started`` before it runs wait for it."""

    def __init__(self, keeping: Keeping, rules: Rules | None = None) -> None:
        self.watches = Watches()
        self.keeping = keeping
        self._rules = rules or Rules()
        self._observers: dict[str, Observer] = {}
        self._waiting: list[Observed] = []
        self._listed: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._shown: tuple[int, bytes] = (-1, b"")

    # ------------------------------------------------------------------------------------ their life

    async def run(self) -> None:
        """Until cancelled: calls are left as they are, and found again by the next run."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for seen in await self._remembered():
                    self._rules.began(seen.info)
                    self._begin(seen.info, seen)
                waiting, self._waiting = self._waiting, []
                for new in waiting:
                    self._begin(new.info, None)
                if self.keeping.upstream.abilities.lists_calls:
                    group.create_task(self._find(), name="calls of the service")
                await self._store_progress()
        finally:
            self._group = None

    def started(self, info: CallInfo) -> None:
        """A call has begun; one that is observed already stays as it is. Returns at once, never raises."""
        if self._group is not None:
            self._begin(info, None)
        elif len(self._waiting) < MAX_LIVE:
            self._waiting.append(Observed(info, None, info.started_at))

    def _begin(self, info: CallInfo, seen: Observed | None) -> None:
        known = self._observers.get(info.call_id)
        if known is not None and known.live:
            return
        if sum(observer.live for observer in self._observers.values()) >= MAX_LIVE:
            log.warning("call %s is not observed: %d calls are", info.call_id, MAX_LIVE)
            return
        assert self._group is not None
        # Made here, so that whoever asks next finds it.
        observer = self._observer(info, seen)
        self._group.create_task(self._supervise(observer), name=f"observer of {info.call_id}")

    def _observer(self, info: CallInfo, seen: Observed | None) -> Observer:
        rules = self._rules
        observer = Observer(
            info,
            self.keeping,
            tools=rules.tools(info.profile),
            session=rules.session(info.profile),
            seen=seen,
            changed=self.watches.changed,
        )
        self._observers.pop(info.call_id, None)
        self._observers[info.call_id] = observer
        self.watches.changed()
        return observer

    async def _supervise(self, observer: Observer) -> None:
        """One that breaks is followed by another, which marks the gap."""
        info = observer.info
        for _ in range(MAX_CRASHES):
            try:
                await observer.run()
                break
            except Exception as error:
                log.error("call %s: its observer failed: %s", info.call_id, where(error))
                observer = self._observer(info, observer.broke())
        else:
            observer.give_up()
        self._rules.ended(info, observer.state.ended_at or 0.0)
        self._forget()

    def _forget(self) -> None:
        ended = [call_id for call_id, observer in self._observers.items() if not observer.live]
        for call_id in ended[:-MAX_ENDED]:
            del self._observers[call_id]
        self.watches.changed()

    async def _remembered(self) -> list[Observed]:
        try:
            return (await self.keeping.store.live())[:MAX_LIVE]
        except OSError as error:
            log.error("calls of the run before are not found: %s", type(error).__name__)
            return []

    async def _store_progress(self) -> None:
        """All calls at once, every so often: a store can make one transaction of it."""
        while True:
            await asyncio.sleep(self.keeping.timing.tick)
            async with asyncio.TaskGroup() as group:
                for observer in self._observers.values():
                    if observer.live and observer.progressed:
                        group.create_task(observer.store_progress())

    # ------------------------------------------------------------------------------------ the service's list

    async def _find(self) -> None:
        cursor: str | None = None
        while True:
            try:
                calls, cursor = await self.keeping.upstream.live_calls(cursor, LIST_WAIT_S)
            except UpstreamError as error:
                log.warning("the service does not list its calls: %s", error.code)
                cursor = None
                await asyncio.sleep(LIST_RETRY_S)
                continue
            self._end_unlisted({call.id for call in calls})
            unknown = [call for call in calls[:MAX_LISTED] if call.id not in self._observers]
            await asyncio.sleep(GRACE_S if unknown else LIST_PAUSE_S)
            for call in unknown:
                if call.id not in self._observers and (info := self._rules.found(call)) is not None:
                    self._rules.began(info)
                    self.started(info)

    def _end_unlisted(self, live: set[str]) -> None:
        assert self._group is not None
        gone, self._listed = self._listed - live, live
        for call_id in gone:
            observer = self._observers.get(call_id)
            if observer is not None and observer.live:
                self._group.create_task(_end_soon(observer), name=f"end of {call_id}")

    # ------------------------------------------------------------------------------------ asked from outside

    def get(self, call_id: str) -> Observer:
        """Raises AppError (404)."""
        observer = self._observers.get(call_id)
        if observer is None:
            raise AppError(404, "No such call is observed here.", "call_id_not_found", "call_id")
        return observer

    async def adopt(self, info: CallInfo, *, counted: bool = False) -> Observer:
        """Observe a call that was not begun here. ``counted``: it is its user's own. Raises CallGone,
        UpstreamError, AppError."""
        known = self._observers.get(info.call_id)
        if known is not None and known.live:
            return known
        probe = await self.keeping.upstream.observe(info.call_id, role="listen")
        await probe.close()
        if counted:
            self._rules.began(info)
        self.started(info)
        if info.call_id not in self._observers:
            raise AppError(503, "Too many calls are observed.", "at_capacity", None, 10.0)
        return self._observers[info.call_id]

    def summaries(self) -> bytes:
        """JSON of the rows, the newest first."""
        if self._shown[0] != self.watches.version:
            states = [observer.state for observer in reversed(self._observers.values())]
            rows = [{name: getattr(state, name) for name in _SUMMARY} for state in states]
            self._shown = (self.watches.version, msgspec.json.encode(rows))
        return self._shown[1]


async def _end_soon(observer: Observer) -> None:
    await asyncio.sleep(LAST_EVENTS_S)
    if observer.live:
        await observer.end("ended")
