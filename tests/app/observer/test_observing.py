"""Attaching, the end of a call however it ends, gaps, restarts, and calls that do not disturb each other."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.app.observer.calls import info
from tests.app.observer.service import HOSTED, OURS, Heard, Service
from tests.waiting import until
from vivavoz.app.errors import AppError
from vivavoz.app.observer import observers as module
from vivavoz.app.observer.observer import Keeping, Observer
from vivavoz.app.observer.observers import Observers, Rules
from vivavoz.app.observer.ports import CallStore, MemoryCallStore
from vivavoz.app.observer.sideband import Timing
from vivavoz.app.observer.toolrunner import Threads
from vivavoz.app.observer.tools import Tool, Toolbox
from vivavoz.app.upstream.port import Abilities, CallGone, LiveCall, UpstreamError

QUICK = Timing(first_pause=0.01, longest_pause=0.05, live_within=5, reached_within=5, tick=0.01)
SAID = {"type": "response.output_text.delta", "response_id": "r", "item_id": "a", "delta": "Hello"}
ITEM = {
    "type": "conversation.item.added",
    "previous_item_id": None,
    "item": {"id": "a", "type": "message", "role": "assistant", "status": "in_progress", "content": []},
}


class World:
    def __init__(self, abilities: Abilities, timing: Timing, store: CallStore, rules: Rules) -> None:
        self.service = Service(abilities)
        self.heard = Heard()
        self.store = store
        self.timing = timing
        self.rules = rules

    def observers(self) -> Observers:
        keeping = Keeping(
            upstream=self.service,
            recorder=self.heard,
            store=self.store,
            threads=Threads(),
            timing=self.timing,
        )
        return Observers(keeping, self.rules)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Observers]:
        observers = self.observers()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(observers.run())
            await asyncio.sleep(0)
            yield observers
            task.cancel()


@contextlib.asynccontextmanager
async def world(
    abilities: Abilities = HOSTED,
    timing: Timing = QUICK,
    store: CallStore | None = None,
    rules: Rules | None = None,
) -> AsyncIterator[World]:
    made = World(abilities, timing, store or MemoryCallStore(), rules or Rules())
    async with made.service.running():
        yield made


def started(observers: Observers, call_id: str = "rtc_1", **members: Any) -> Observer:
    observers.started(info(call_id, **{"started_at": time.time(), **members}))
    return observers.get(call_id)


async def attached(observer: Observer) -> None:
    await until(lambda: observer.state.observer == "attached")


def words(observer: Observer) -> list[str]:
    return [line.text for line in observer.state.transcript]


async def test_a_call_is_observed_from_before_it_is_live_to_its_end() -> None:
    async with world() as told, told.running() as observers:
        observer = started(observers)
        await until(lambda: told.service.attempts >= 2)
        call = told.service.call()
        await attached(observer)
        await call.tell(ITEM, SAID)
        await until(lambda: words(observer) == ["Hello"])
        await until(lambda: told.store._calls["rtc_1"].last_event_id == "event_rtc_1_1")  # type: ignore[attr-defined]
        await told.service.end(call)
        await until(lambda: not observer.live)
        state = observer.state
        assert (state.status, state.end_reason, state.last_words) == ("ended", "ended", "Hello")
        assert state.gaps == []
        assert told.heard.types() == ["conversation.item.added", "response.output_text.delta"]
        assert [(call_id, reason) for call_id, reason, _ in told.heard.closed_calls] == [("rtc_1", "ended")]
        await until(lambda: not told.store._calls)  # type: ignore[attr-defined]


async def test_a_call_that_never_was_is_given_up() -> None:
    timing = msgspec.structs.replace(QUICK, live_within=0.1)
    async with world(timing=timing) as told, told.running() as observers:
        observer = started(observers)
        await until(lambda: not observer.live)
        assert observer.state.end_reason == "the service knows no such call"


async def test_why_the_client_left_is_told() -> None:
    async with world(OURS) as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        await call.tell({"type": "vivavoz.participant.left", "role": "client", "reason": "the peer hung up"})
        await told.service.end(call)
        await until(lambda: not observer.live)
        assert observer.state.end_reason == "the peer hung up"


async def test_the_services_reason_is_told() -> None:
    async with world() as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        await told.service.end(call, 1001, b"Your session hit the maximum duration of 60 minutes.")
        await until(lambda: not observer.live)
        assert "60 minutes" in (observer.state.end_reason or "")


async def test_a_broken_connection_is_made_again_and_the_gap_is_marked() -> None:
    async with world() as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        await call.tell(ITEM)
        told.service.cut(call)
        await until(lambda: len(call.asked) == 2)
        await attached(observer)
        await call.tell(SAID)
        await until(lambda: words(observer) == ["Hello"])
        (gap,) = observer.state.gaps
        assert gap.since <= gap.until
        assert [each[0] for each in told.heard.gaps] == ["rtc_1"]
        assert observer.live


async def test_what_our_own_service_replays_is_no_gap() -> None:
    async with world(OURS) as told, told.running() as observers:
        call = told.service.call()
        await call.tell(ITEM)
        observer = started(observers, record=False)
        await attached(observer)
        await until(lambda: words(observer) == [""])
        told.service.cut(call)
        await until(lambda: not call.sockets)
        await call.tell(SAID)
        await until(lambda: words(observer) == ["Hello"])
        assert observer.state.gaps == []
        assert [asked["after"] for asked in call.asked] == ["start", "event_rtc_1_0"]
        assert call.asked[0]["extras"] == "timings,participants"
        assert told.heard.types().count("conversation.item.added") == 1


async def test_the_times_of_what_was_replayed_are_not_known() -> None:
    async with world(OURS) as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers, record=False)
        await attached(observer)
        for n in range(2):
            response = {"id": f"resp_{n}", "conversation_id": "conv", "status": "completed"}
            await call.tell({"type": "response.created", "response": response})
            await call.tell({"type": "response.done", "response": response})
            await until(lambda n=n: observer.state.turns == n + 1)
            told.service.cut(call)
            await until(lambda: not call.sockets)
        response = {"id": "resp_2", "conversation_id": "conv", "status": "completed"}
        await call.tell({"type": "response.created", "response": response})
        await call.tell({"type": "response.done", "response": response})
        await until(lambda: observer.state.turns == 3)
        known = [turn.marks.done_ms is not None for turn in observer.state.turns_log]
        assert known == [True, False, False]


async def test_a_recording_misses_the_sound_of_a_broken_connection() -> None:
    async with world(OURS) as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        assert call.asked[0]["audio"] == "True"
        await call.sound(struct.pack("<BQ", 1, 4800) + b"\1\0" * 3)
        await until(lambda: told.heard.sound)
        assert told.heard.sound == [("rtc_1", "assistant", 4800, b"\1\0" * 3)]
        told.service.cut(call)
        await until(lambda: len(observer.state.gaps) == 1)


async def test_what_the_service_forgot_is_a_gap() -> None:
    async with world(OURS) as told, told.running() as observers:
        call = told.service.call()
        call.forgets = True
        await call.tell(SAID)
        observer = started(observers, record=False)
        await until(lambda: len(observer.state.gaps) == 1)


async def test_a_silent_call_is_looked_for() -> None:
    """A service that never says that the browser has vanished."""
    timing = msgspec.structs.replace(QUICK, silence=0.1)
    async with world(timing=timing) as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        await until(lambda: len(call.asked) >= 3)
        assert observer.live
        told.service.vanish(call)
        await until(lambda: not observer.live)
        assert observer.state.end_reason == "the service ended it without a word"


async def test_a_call_longer_than_any_is_over() -> None:
    timing = msgspec.structs.replace(QUICK, silence=0.05, longest_call=0.1)
    async with world(timing=timing) as told, told.running() as observers:
        told.service.call()
        observer = started(observers)
        await until(lambda: not observer.live)
        assert "longer" in (observer.state.end_reason or "")


async def test_a_refused_observer_is_shown_and_tries_again() -> None:
    async with world() as told, told.running() as observers:
        told.service.refusal = UpstreamError(502, "Not accepted.", "upstream_credential_refused")
        call = told.service.call()
        observer = started(observers)
        await until(lambda: observer.state.observer == "refused")
        assert [(note.code, note.message) for note in observer.state.errors] == [
            ("upstream_credential_refused", "Not accepted.")
        ]
        told.service.refusal = None
        await attached(observer)
        await told.service.end(call)
        await until(lambda: not observer.live)


async def test_a_service_that_stays_away_is_given_up() -> None:
    timing = msgspec.structs.replace(QUICK, reached_within=0.1)
    async with world(timing=timing) as told, told.running() as observers:
        told.service.refusal = UpstreamError(502, "It cannot be reached.", "upstream_unreachable")
        observer = started(observers)
        await until(lambda: not observer.live)
        assert observer.state.end_reason == "given up: It cannot be reached."


async def test_a_service_that_closes_at_once_is_given_up() -> None:
    async with world() as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)

        async def close_always() -> None:
            while observer.live:
                for socket in list(call.sockets):
                    await socket.close()
                await asyncio.sleep(0.002)

        await asyncio.wait_for(close_always(), 60)
        assert "at once" in (observer.state.end_reason or "")


async def test_one_that_breaks_disturbs_no_other_and_goes_on_after_a_gap() -> None:
    async with world(OURS) as told, told.running() as observers:
        calls = [told.service.call(name) for name in ("rtc_1", "rtc_2")]
        other = started(observers, "rtc_2")
        await attached(started(observers, "rtc_1"))
        await attached(other)
        told.heard.breaks_on = "response.output_text.delta"
        await calls[0].tell(ITEM, SAID)
        await until(lambda: observers.get("rtc_1").state.gaps)
        assert words(observers.get("rtc_1")) == ["Hello"]
        await calls[1].tell(ITEM, SAID)
        await until(lambda: words(other) == ["Hello"])
        assert other.state.gaps == []
        assert other is observers.get("rtc_2")


async def test_one_that_always_breaks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as told, told.running() as observers:

        def opened(_: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(told.heard, "opened", opened)
        started(observers)
        await until(lambda: not observers.get("rtc_1").live)
        assert observers.get("rtc_1").state.end_reason == "the observer failed"


@pytest.mark.parametrize("abilities", [HOSTED, OURS], ids=["hosted", "ours"])
async def test_after_a_restart_the_call_is_found_and_the_gap_is_marked(abilities: Abilities) -> None:
    async with world(abilities) as told:
        call = told.service.call()
        async with told.running() as observers:
            await attached(started(observers))
            await call.tell(ITEM)
            await until(lambda: told.heard.types() == ["conversation.item.added"])
            # Said to this observer alone: the next one is not told where that was.
            for socket in call.sockets:
                await socket.send_json({"type": "vivavoz.turn.timings", "event_id": "event_vivavoz_1"})
            await until(lambda: len(told.heard.types()) == 2)
        assert told.heard.closed_calls == []
        await until(lambda: not call.sockets)
        await call.tell(SAID)
        async with told.running() as observers:
            await until(lambda: len(told.heard.gaps) == 1)
            observer = observers.get("rtc_1")
            await call.tell({**SAID, "delta": " again"})
            if abilities is OURS:
                # Told by the service: the state is whole, and the record has each event once.
                await until(lambda: words(observer) == ["Hello again"])
                assert told.heard.types() == [
                    "conversation.item.added",
                    "vivavoz.turn.timings",
                    "response.output_text.delta",
                    "response.output_text.delta",
                ]
            await until(lambda: told.heard.types()[-1] == "response.output_text.delta")
            (gap,) = observer.state.gaps
            assert gap.reason == "the observer was restarted"
            assert gap.since <= gap.until
            assert len(told.heard.opened_calls) == 2
            await told.service.end(call)
            await until(lambda: not observer.live)
        assert len(told.heard.closed_calls) == 1


async def test_after_a_restart_a_call_that_ended_meanwhile_is_closed() -> None:
    async with world() as told:
        call = told.service.call()
        async with told.running() as observers:
            await attached(started(observers))
        await told.service.end(call)
        async with told.running() as observers:
            await until(lambda: not observers.get("rtc_1").live)
        assert [reason for _, reason, _ in told.heard.closed_calls] == ["ended"]
        assert await told.store.live() == []


class Broken(MemoryCallStore):
    async def opened(self, *_: Any) -> Any:
        raise OSError("database is locked")

    progress = closed = live = opened


async def test_a_broken_store_costs_the_memory_only() -> None:
    async with world(store=Broken()) as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        await call.tell(ITEM, SAID)
        await until(lambda: words(observer) == ["Hello"])
        assert [note.code for note in observer.state.errors] == ["store_failed"]


async def test_calls_that_began_with_a_token_are_found_and_their_end_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.01)
    monkeypatch.setattr(module, "LAST_EVENTS_S", 0.01)

    def found(call: LiveCall) -> Any:
        return info(call.id, user=call.grant_label, origin="token") if call.grant_label else None

    ended: list[str] = []
    rules = Rules(found=found, ended=lambda info, at: ended.append(info.call_id))
    async with world(OURS, rules=rules) as told, told.running() as observers:
        call = told.service.call("rtc_9")
        told.service.call("rtc_8")
        told.service.list(LiveCall(id="rtc_9", grant_label="bob"), LiveCall(id="rtc_8"))
        await until(lambda: call.sockets)
        assert observers.get("rtc_9").state.user == "bob"
        with pytest.raises(AppError):
            observers.get("rtc_8")
        told.service.vanish(call)
        told.service.list()
        await until(lambda: ended == ["rtc_9"])


async def test_only_calls_that_the_service_knows_can_be_adopted() -> None:
    async with world() as told, told.running() as observers:
        told.service.call()
        with pytest.raises(CallGone):
            await observers.adopt(info("rtc_2", origin="adopted"))
        observer = await observers.adopt(info("rtc_1", origin="adopted"))
        await attached(observer)
        assert await observers.adopt(info("rtc_1", origin="adopted")) is observer
        assert len(observer.state.gaps) == 1


async def test_the_calls_that_are_over_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDED", 2)
    async with world() as told, told.running() as observers:
        for n in range(4):
            call = told.service.call(f"rtc_{n}")
            observer = started(observers, f"rtc_{n}")
            await attached(observer)
            await told.service.end(call)
            await until(lambda observer=observer: not observer.live)
        await until(lambda: len(msgspec.json.decode(observers.summaries())) == 2)
        assert [row["id"] for row in msgspec.json.decode(observers.summaries())] == ["rtc_3", "rtc_2"]


async def test_sound_and_long_events_are_not_kept() -> None:
    async with world() as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        part = {"type": "input_audio", "audio": "QUJD" * 9, "transcript": "x"}
        await call.tell(
            {"type": "response.output_audio.delta", "delta": "QUJD"},
            {"type": "conversation.item.retrieved", "item": {"id": "i", "content": [part]}},
            {"type": "conversation.item.done", "item": {"id": "i", "content": [{"text": "y" * 100_000}]}},
        )
        await until(lambda: len(observer.log.entries) == 3)
        shown = [msgspec.json.decode(bytes(entry.event)) for entry in observer.log.entries]
        assert shown[0]["delta"] == ""
        assert shown[1]["item"]["content"][0] == {"type": "input_audio", "audio": "", "transcript": "x"}
        assert shown[2]["bytes_left_out"] > 100_000
        assert "QUJD" not in str(told.heard.events)


async def test_what_is_no_event_is_passed_over() -> None:
    async with world() as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        for data in ("[]", "{", "null", '{"type": 5}', "[" * 5000, '"\\ud800"'):
            for socket in call.sockets:
                await socket.send_str(data)
        await call.tell(ITEM, SAID)
        await until(lambda: words(observer) == ["Hello"])
        assert observer.log.count == 3


async def test_nothing_that_was_said_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    words = "the-words-of-the-caller"

    def fails() -> None:
        raise ValueError(words)

    rules = Rules(tools=lambda _: Toolbox([Tool(fails)]), session=lambda _: {"instructions": words})
    async with world(OURS, rules=rules) as told, told.running() as observers:
        call = told.service.call()
        observer = started(observers)
        await attached(observer)
        function = {"type": "function_call", "call_id": "c", "name": "fails", "arguments": "{}", "id": "f"}
        response = {"id": "r", "conversation_id": "v", "status": "completed", "output": [function]}
        await call.tell(ITEM, {**SAID, "delta": words}, {"type": "response.done", "response": response})
        for socket in call.sockets:
            await socket.send_str(f'{{"{words}')
        observer.send({"type": "response.create", "response": {"instructions": words}})
        await until(lambda: "conversation.item.create" in [event["type"] for event in call.got])
        told.heard.breaks_on = "response.output_text.delta"
        await call.tell({**SAID, "delta": words})
        await until(lambda: "its observer failed" in caplog.text)
        await told.service.end(call)
        await until(lambda: not observers.get("rtc_1").live)
    assert "tool 'fails' failed: ValueError" in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("vivavoz")]
    assert words not in "\n".join(ours)
