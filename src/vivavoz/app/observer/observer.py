"""One observed call: its events are folded, logged, recorded and shown, and its tools answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from vivavoz.app.errors import AppError
from vivavoz.app.observer.continuity import Continuity
from vivavoz.app.observer.eventlog import EventLog, without_sound
from vivavoz.app.observer.fields import identifier, text
from vivavoz.app.observer.ports import (
    Attachment,
    CallInfo,
    CallState,
    CallStore,
    Event,
    Observed,
    Recorder,
    Sender,
    Track,
)
from vivavoz.app.observer.sideband import MAX_REASON, Outgoing, Over, Sideband, Timing
from vivavoz.app.observer.state import CallFold
from vivavoz.app.observer.toolrunner import Threads, ToolRunner
from vivavoz.app.observer.tools import Toolbox, ToolContext
from vivavoz.app.observer.watching import Watches
from vivavoz.app.upstream.port import Upstream, UpstreamError

log = logging.getLogger("vivavoz.app")

LEAVES_WITHIN_S = 1.0
_TRACKS: tuple[Track, Track] = ("caller", "assistant")
_SOUND_HEADER = struct.Struct("<BQ")


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """What all observers of an application share."""

    upstream: Upstream
    recorder: Recorder
    store: CallStore
    threads: Threads
    timing: Timing = Timing()


class Observer:
    """``seen``: how far an observer before this one came; None: the call is new."""

    def __init__(
        self,
        info: CallInfo,
        keeping: Keeping,
        *,
        tools: Toolbox | None = None,
        session: Mapping[str, Any] | None = None,
        seen: Observed | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """``session``: what the call was asked to be; ``changed`` is called when the summary is another."""
        tools = tools or Toolbox()
        self.info = info
        self.log = EventLog(info.filtered)
        self.watches = Watches()
        self._keeping = keeping
        self._able = keeping.upstream.abilities
        self._fold = CallFold(info, session=session, owned=tools.names)
        self._continuity = Continuity(info, self._able, seen, self._gap)
        self._last_event_id: str | None = None
        self._told: str | None = None
        self._last_at = seen.seen_at if seen else info.started_at
        self._unfinished = 0
        """The first turn that was not over when the connection broke."""
        self._left = ""
        """Why the call's own client is gone, where the service says so."""
        self._changed = changed
        context = ToolContext(call_id=info.call_id, profile=info.profile, user=info.user)
        self._tools = ToolRunner(
            tools, context, self._fold, self._tool_sends, keeping.threads, seconds=keeping.timing.tool
        )
        self._sideband = Sideband(
            info,
            keeping.upstream,
            keeping.timing,
            known=seen is not None,
            attachment=self._attachment,
            failed=self._failed,
            received=self._received,
            sent=self._sent,
        )
        self._numbered = 0

    @property
    def state(self) -> CallState:
        """Alive: encode it at once."""
        self._fold.summarize()
        return self._fold.state

    @property
    def live(self) -> bool:
        return self._fold.state.status == "live"

    # ------------------------------------------------------------------------------------ its life

    async def run(self) -> None:
        """Until the call is over. Cancelled, the call is left as it is: who comes next goes on with it."""
        keeping = self._keeping
        keeping.recorder.opened(self.info)
        await self._stored(keeping.store.opened(self.info))
        try:
            reason = await self._observe()
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVES_WITHIN_S):
                    await self.store_progress()
            raise
        finally:
            await self._tools.close()
        reason = self._finish(reason)
        await self._stored(keeping.store.closed(self.info.call_id, self._fold.state.ended_at or 0.0, reason))

    async def end(self, reason: str) -> None:
        """The call is known to be over."""
        await self._sideband.end(reason)

    def broke(self) -> Observed:
        """This observer cannot go on; returns how far it came."""
        self._fold.observer("lost")
        self._news()
        self.watches.end()
        return Observed(self.info, self._last_event_id, self._last_at)

    def give_up(self) -> None:
        """No observer can go on with this call."""
        self._finish("the observer failed")

    async def _observe(self) -> str:
        after: str | None = "start"
        try:
            while True:
                self._continuity.attaching()
                await self._sideband.attach(after)
                self._continuity.attached()
                await self._sideband.follow()
                if self._continuity.holding:
                    self._replayed(complete=False)
                self._continuity.lost_at, self._unfinished = time.time(), self._fold.turns.unfinished
                after = self._last_event_id or "start"
        except Over as over:
            return str(over)

    def _finish(self, reason: str) -> str:
        at = time.time()
        reason = self._left or reason
        self._fold.ended(at, reason)
        log.info("call %s: over (%s)", self.info.call_id, reason)
        self._keeping.recorder.closed(self.info.call_id, at, reason, self.state)
        self.log.over()
        self._news()
        self.watches.end()
        return reason

    @property
    def progressed(self) -> bool:
        """Whether the store knows less than was seen."""
        return self._sideband.attached and not self._continuity.holding and self._last_event_id != self._told

    async def store_progress(self) -> None:
        if (event_id := self._last_event_id) is not None:
            await self._stored(self._keeping.store.progress(self.info.call_id, event_id, self._last_at))
            self._told = event_id

    async def _stored(self, work: Any) -> None:
        """Without the store, only a restart is worse off."""
        try:
            await work
        except OSError as error:
            log.warning("call %s: not remembered: %s", self.info.call_id, type(error).__name__)
            if not any(note.code == "store_failed" for note in self._fold.state.errors):
                message = "This call may not be found again after a restart: its store failed."
                self._fold.note(time.time(), "store_failed", message)

    # ------------------------------------------------------------------------------------ gaps

    def _gap(self, since: float, until: float, reason: str) -> None:
        self._fold.gap(since, until, reason)
        self._keeping.recorder.gap(self.info.call_id, since, until, reason)

    def _replayed(self, *, complete: bool) -> None:
        """The service has told the past; what happened when in it, it does not say."""
        seen = self._continuity.seen
        if self._continuity.holding:
            held = self._continuity.release()
            ids = [identifier(event, "event_id") for _, event, _ in held]
            last = seen.last_event_id if seen else None
            known = ids.index(last) + 1 if last in ids and last is not None else 0
            for index, (at, event, raw) in enumerate(held):
                self._take(at, event, raw, recorded=index >= known)
            self._fold.turns.forget_times()
        self._continuity.caught_up(complete=complete)
        if seen is not None:
            self._tools.interrupted()

    # ------------------------------------------------------------------------------------ what is received

    def _received(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._sound(data)
            return
        raw = data.encode("utf-8", "surrogatepass")
        try:
            event = msgspec.json.decode(raw)
            if not isinstance(event, dict):
                return
            raw = without_sound(event, raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            log.warning("call %s: the service sent something that is no event", self.info.call_id)
            return
        at = time.time()
        if event.get("type") == "vivavoz.replayed":
            if event.get("count") and self._continuity.lost_at is not None:
                self._fold.turns.forget_times(self._unfinished)
            self._replayed(complete=event.get("complete") is True)
            return
        if self._continuity.hold((at, event, raw)):
            return
        self._take(at, event, raw)
        self._tools.happened(event)
        if event.get("type") == "conversation.item.truncated":
            self._ask_what_was_heard(identifier(event, "item_id"))

    def _ask_what_was_heard(self, item_id: str | None) -> None:
        """Our own service keeps the words that were heard, and tells them to who asks."""
        if item_id and self._able.roles:
            self._tool_sends({"type": "conversation.item.retrieve", "item_id": item_id})

    def _take(self, at: float, event: dict[str, Any], raw: bytes, *, recorded: bool = True) -> None:
        self._fold.apply(at, event)
        self._last_at = at
        kind = text(event, "type")
        if kind == "vivavoz.participant.left" and text(event, "role") == "client":
            self._left = text(event, "reason")[:MAX_REASON]
        event_id = identifier(event, "event_id")
        # What was said to this observer alone is not told to the next one: it is no place to go on from.
        if event_id is not None and kind != "error" and not kind.startswith("vivavoz."):
            self._last_event_id = event_id
        self._note(at, "server", event, raw, recorded=recorded)

    def _sound(self, frame: bytes) -> None:
        """Byte 0: track; bytes 1 to 8: position in samples; then s16le."""
        if len(frame) < _SOUND_HEADER.size:
            return
        track, position = _SOUND_HEADER.unpack_from(frame)
        if track < len(_TRACKS):
            self._keeping.recorder.audio(
                self.info.call_id, _TRACKS[track], position, frame[_SOUND_HEADER.size :]
            )

    def _note(self, at: float, sender: Sender, event: Event, raw: bytes, *, recorded: bool = True) -> None:
        entry = self.log.add(at, sender, event, raw)
        if recorded:
            self._keeping.recorder.event(self.info.call_id, at, sender, raw)
        if len(self.watches):
            self.watches.put(msgspec.json.encode({"kind": "event", "entry": entry}))
        self._news()

    def _attachment(self, attachment: Attachment) -> None:
        if self._fold.state.observer != attachment:
            log.info("call %s: observer %s", self.info.call_id, attachment)
            self._fold.observer(attachment)
            self._news()

    def _failed(self, error: UpstreamError) -> None:
        self._fold.note(time.time(), error.code, error.message)
        self._news()

    def _news(self) -> None:
        self.watches.changed()
        self._changed()

    # ------------------------------------------------------------------------------------ what is sent

    def send(self, event: Mapping[str, Any]) -> str:
        """A client event from an operator; returns its ``event_id``. Raises AppError."""
        if not self.live:
            raise AppError(409, "The call has ended.", "call_ended")
        if not self._sideband.attached:
            raise AppError(409, "The observer is not attached to the call now.", "observer_not_attached")
        if not self._sideband.room:
            raise AppError(429, "Too many events wait to be sent to this call.", "too_many_events", None, 1.0)
        return self._queue("console", event)

    async def hangup(self) -> None:
        """Raises UpstreamError."""
        await self._keeping.upstream.hangup(self.info.call_id)

    def _tool_sends(self, event: Mapping[str, Any]) -> None:
        if self._sideband.room:
            self._queue("tool", event)
        else:
            log.warning("call %s: a %s is not sent: too many wait", self.info.call_id, text(event, "type"))

    def _queue(self, sender: Sender, event: Mapping[str, Any]) -> str:
        self._numbered += 1
        event_id = identifier(event, "event_id") or f"app_{self._numbered}"
        whole = {**event, "event_id": event_id}
        self._sideband.send(Outgoing(sender, msgspec.json.encode(whole)))
        return event_id

    def _sent(self, outgoing: Outgoing) -> None:
        event = msgspec.json.decode(outgoing.event)
        raw = without_sound(event, outgoing.event)
        self._note(time.time(), outgoing.sender, event, raw)
