"""Observers who ask for more than events, and those who do not."""

from __future__ import annotations

import asyncio
import itertools
from base64 import b64encode
from typing import Any

import pytest

from tests.call.sounds import silence, voice
from tests.call.test_call import play, text_turn
from tests.call.transports import FakeTransport
from vivavoz.call.call import Call
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings
from vivavoz.wire.extensions import Observing

RATE = 24_000


def opened(calls: CallRegistry, kind: Any = "websocket") -> tuple[Call, FakeTransport]:
    call = calls.open(None, "gpt-realtime")
    return call, FakeTransport(kind).join(call)


def observe(call: Call, **wants: Any) -> FakeTransport:
    return FakeTransport("sideband").join(call, Observing(**wants))


def extensions(observer: FakeTransport) -> list[dict[str, Any]]:
    return [event for event in observer.events if event["type"].startswith("vivavoz.")]


async def settled() -> None:
    await asyncio.sleep(0.5)


# ------------------------------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        ("listen", ["response.create", "conversation.item.create", "session.update"]),
        ("coach", ["session.update"]),
        ("control", []),
    ],
)
def test_a_role_says_what_may_be_sent(role: str, refused: list[str]) -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        observer = observe(call, role=role)
        text_turn(observer, "hello")
        observer.say("session.update", event_id="e", session={"type": "realtime", "instructions": "x"})
        await settled()
        errors = [event["error"] for event in observer.events if event["type"] == "error"]
        assert {error["code"] for error in errors} == ({"role_may_not"} if refused else set())
        assert sorted(error["message"].rsplit("'", 2)[1] for error in errors) == sorted(refused)
        assert "error" not in client.types()
        assert ("response.created" in client.types()) == ("response.create" not in refused)
        assert ("session.updated" in client.types()) == ("session.update" not in refused)

    play(scene)


def test_a_role_holds_for_what_was_sent_before_leaving() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        listener, controller = observe(call, role="listen"), observe(call)
        for observer in (listener, controller):
            observer.say("session.update", session={"type": "realtime", "instructions": observer.kind})
            observer.attachment.lost("left at once")  # type: ignore[union-attr]
        await settled()
        assert client.types().count("session.updated") == 1

    play(scene)


def test_who_asks_for_nothing_is_sent_nothing_more() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        plain = FakeTransport("sideband").join(call)
        observe(call, after="start", tracks=("caller", "assistant"), extras=("timings", "participants"))
        text_turn(client, "hello")
        await client.until("response.done")
        await settled()
        assert not extensions(plain)
        assert not extensions(client)
        assert not plain.sounds
        ids = [event["event_id"] for event in client.events]
        assert not [event_id for event_id in ids if event_id.startswith("event_vivavoz")]

    play(scene)


# ------------------------------------------------------------------------------------- replay


def test_who_comes_late_is_told_the_past_and_then_what_happens() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        early = observe(call)
        text_turn(client, "hello")
        await client.until("response.done")
        late = observe(call, after="start")
        text_turn(client, "again")
        await client.until("response.done", 2)
        seen = [event for event in client.events if event["type"] != "response.output_audio.delta"]
        count = next(n for n, event in enumerate(late.events) if event["type"] == "vivavoz.replayed")
        assert late.events[count]["count"] == count
        assert late.events[count]["complete"] is True
        assert late.events[:count] + late.events[count + 1 :] == seen
        assert early.events == seen

    play(scene)


def test_who_comes_back_misses_nothing_and_hears_nothing_twice() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        first = observe(call)
        text_turn(client, "hello")
        await first.until("response.created")
        first.attachment.lost("gone")  # type: ignore[union-attr]
        known = list(first.events)
        call_seen = client.until("response.done")
        await call_seen
        back = observe(call, after=known[-1]["event_id"])
        text_turn(client, "again")
        await back.until("response.done", 2)
        told = [event for event in back.events if not event["type"].startswith("vivavoz.")]
        seen = [event for event in client.events if event["type"] != "response.output_audio.delta"]
        assert known + told == seen
        assert extensions(back)[0]["complete"] is True

    play(scene)


def test_after_an_event_of_its_own_too() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        first = observe(call, extras=("participants",))
        first.say("no.such.event")
        own = await first.until("error")
        text_turn(client, "hello")
        await client.until("response.done")
        for known in (own, extensions(first)[0]):
            back = observe(call, after=known["event_id"])
            told = await back.until("vivavoz.replayed")
            assert told["complete"] is True
            assert "error" not in back.types()
            assert "response.done" in back.types()

    play(scene)


def test_a_log_that_is_full_says_that_it_is_not_all() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        text_turn(client, "hello")
        await client.until("response.done")
        late = observe(call, after="start")
        told = await late.until("vivavoz.replayed")
        assert told["complete"] is False
        assert 0 < told["count"] < len(client.events)

    play(scene, CallSettings(replay_bytes=2_000))


# ------------------------------------------------------------------------------------- who is there


def test_who_comes_and_goes() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls, "webrtc")
        watcher = observe(call, extras=("participants",))
        other = observe(call, role="coach")
        other.attachment.lost("closed by the client (1000)")  # type: ignore[union-attr]
        client.attachment.lost("the peer hung up")  # type: ignore[union-attr]
        await call.closed.wait()
        told = [{k: v for k, v in event.items() if k != "event_id"} for event in extensions(watcher)]
        joined, left = "vivavoz.participant.joined", "vivavoz.participant.left"
        main = {"participant": "t1", "kind": "webrtc", "role": "client"}
        coach = {"participant": "t3", "kind": "sideband", "role": "coach"}
        assert told == [
            {"type": joined, **main},
            {"type": joined, **coach},
            {"type": left, **coach, "reason": "closed by the client (1000)"},
            {"type": left, **main, "reason": "the peer hung up"},
        ]

    play(scene)


def test_a_hangup_is_told_as_the_clients_leaving() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, _ = opened(calls)
        watcher = observe(call, extras=("participants",))
        call.hangup("hung up by the application")
        await call.closed.wait()
        assert extensions(watcher)[-1]["type"] == "vivavoz.participant.left"
        assert extensions(watcher)[-1]["reason"] == "hung up by the application"
        assert watcher.closed is not None

    play(scene)


# ------------------------------------------------------------------------------------- timings


def test_what_a_turn_took() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        watcher = observe(call, extras=("timings",))
        for chunk in (silence(300), voice(900), silence(900)):
            for start in range(0, len(chunk), 960):
                client.speak(chunk[start : start + 960])
                await asyncio.sleep(0.02)
        done = await client.until("response.done")
        timings = await watcher.until("vivavoz.turn.timings")
        assert timings["response_id"] == done["response"]["id"]
        committed = await client.until("input_audio_buffer.committed")
        assert timings["item_id"] == committed["item_id"]
        assert timings["vad_ms"] <= timings["turn_ms"] <= timings["llm_first_token_ms"]
        assert timings["llm_first_token_ms"] <= timings["tts_first_audio_ms"]
        assert timings["first_packet_ms"] is None

    play(scene)


# ------------------------------------------------------------------------------------- sound


def track(observer: FakeTransport, name: str) -> tuple[int, bytes]:
    """Where a track began, and all of it; it has no holes."""
    pieces = [(position, pcm) for which, position, pcm in observer.sounds if which == name]
    for (position, pcm), (following, _) in itertools.pairwise(pieces):
        assert following == position + len(pcm) // 2
    return pieces[0][0], b"".join(pcm for _, pcm in pieces)


def test_the_caller_is_heard_as_he_came() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls, "webrtc")
        await asyncio.sleep(2)
        observer = observe(call, tracks=("caller",))
        said = voice(1000)
        for start in range(0, len(said), 960):
            await asyncio.sleep(0.02)
            client.speak(said[start : start + 960])
        await settled()
        position, pcm = track(observer, "caller")
        assert pcm == said
        assert abs(position - 2 * RATE) <= RATE // 50
        assert all(len(pcm) <= 2 * RATE for _, _, pcm in observer.sounds)
        assert 4 <= len(observer.sounds) <= 7

    play(scene)


def test_what_is_cleaned_for_the_session_is_heard_as_it_came() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        quiet = {"audio": {"input": {"noise_reduction": {"type": "near_field"}, "turn_detection": None}}}
        client.say("session.update", session={"type": "realtime", **quiet})
        observer = observe(call, tracks=("caller",))
        said = voice(400)
        client.say("input_audio_buffer.append", audio=b64encode(said).decode())
        await settled()
        assert track(observer, "caller")[1] == said

    play(scene)


def test_over_webrtc_the_assistant_is_heard_as_it_was_played() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls, "webrtc")
        assert client.monitored is None
        observer = observe(call, tracks=("caller", "assistant"))
        assert client.monitored is not None
        await asyncio.sleep(1)
        for number in range(20):
            client.monitored(bytes([number]) * 960)
            await asyncio.sleep(0.02)
        await settled()
        position, pcm = track(observer, "assistant")
        assert pcm == b"".join(bytes([number]) * 960 for number in range(20))
        assert abs(position - RATE) <= RATE // 50
        observer.attachment.lost("gone")  # type: ignore[union-attr]
        assert client.monitored is None

    play(scene, CallSettings(reject_echo=False))


def test_over_a_websocket_the_assistant_is_heard_until_it_is_truncated() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        observer = observe(call, tracks=("assistant",))
        text_turn(client, " ".join(str(number) for number in range(40)))
        done = await client.until("response.done")
        item_id = done["response"]["output"][0]["id"]
        await asyncio.sleep(1)
        client.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1300)
        await client.until("conversation.item.truncated")
        await asyncio.sleep(3)
        _, pcm = track(observer, "assistant")
        assert len(pcm) // 48 == pytest.approx(1300, abs=250)

    play(scene)


def test_a_slow_observer_loses_sound_and_no_event() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls, "webrtc")
        observer = observe(call, tracks=("caller",))
        observer.hears = False
        said = silence(800)
        for start in range(0, len(said), 960):
            await asyncio.sleep(0.02)
            client.speak(said[start : start + 960])
        await settled()
        observer.hears = True
        client.speak(silence(200))
        await settled()
        dropped = await observer.until("vivavoz.audio.dropped")
        assert (dropped["track"], dropped["samples"]) == ("caller", 800 * RATE // 1000)
        (heard,) = observer.sounds
        assert dropped["position"] + dropped["samples"] <= heard[1]

    play(scene)


def test_a_huge_append_comes_in_frames_of_a_second() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls)
        client.say(
            "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        )
        observer = observe(call, tracks=("caller",))
        client.say("input_audio_buffer.append", audio=b64encode(bytes(48_000 * 5)).decode())
        client.say("input_audio_buffer.append", audio=b64encode(b"odd").decode())
        await settled()
        assert len(track(observer, "caller")[1]) == 48_000 * 5 + 2
        assert max(len(pcm) for _, _, pcm in observer.sounds) == 48_000

    play(scene)


def test_the_last_sound_of_a_call_is_not_lost() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client = opened(calls, "webrtc")
        observer = observe(call, tracks=("caller",))
        client.speak(silence(20))
        await asyncio.sleep(0.01)
        call.hangup("over")
        await call.closed.wait()
        assert len(observer.sounds) == 1

    play(scene)
