"""Noise reduction in a call: what is asked for happens to what the session hears, on every transport."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.call.test_call import play
from tests.call.transports import FakeTransport
from vivavoz.call.noise import NoiseReducer
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.ports import Score, VadStream
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.media import denoise
from vivavoz.media.denoise import Denoiser, Field
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import AudioPatch, InputPatch, NoiseReduction, SessionPatch

NEAR, FAR = NoiseReduction(type="near_field"), NoiseReduction(type="far_field")
needs_library = pytest.mark.skipif(not denoise.available(), reason="webrtc-noise-gain is not installed")


class Marking:
    """Sets every byte to its number; 4 bytes make a frame."""

    def __init__(self, number: int) -> None:
        self._mark = bytes([number])
        self._waiting = b""

    def process(self, pcm: bytes) -> bytes:
        data = self._waiting + pcm
        whole = len(data) // 4 * 4
        self._waiting = data[whole:]
        return self._mark * whole

    def rest(self) -> bytes:
        waiting, self._waiting = self._waiting, b""
        return waiting


class Opening:
    def __init__(self) -> None:
        self.opened: list[Field] = []

    def __call__(self, field: Field) -> Denoiser:
        self.opened.append(field)
        return Marking(len(self.opened))


async def test_sound_is_left_alone_unless_it_is_asked_for() -> None:
    opening = Opening()
    assert await NoiseReducer(opening).hear(b"abc", None) == b"abc"
    assert opening.opened == []


async def test_no_sample_is_lost_when_it_is_switched() -> None:
    opening = Opening()
    reducer = NoiseReducer(opening)
    assert await reducer.hear(b"aabbcc", NEAR) == b"\1\1\1\1"
    assert await reducer.hear(b"dd", NEAR) == b"\1\1\1\1"
    assert await reducer.hear(b"eeff" + b"gg", NEAR) == b"\1\1\1\1"
    # What waited ("gg") is the first thing that the next one hears, or nobody.
    assert await reducer.hear(b"hh", FAR) == b"\2\2\2\2"
    assert await reducer.hear(b"ii", FAR) == b""
    assert await reducer.hear(b"jj", None) == b"iijj"
    assert opening.opened == ["near_field", "far_field"]


async def test_half_a_sample_is_left_for_the_session_to_refuse() -> None:
    assert await NoiseReducer(Opening()).hear(b"abc", NEAR) == b"abc"


@needs_library
async def test_an_hour_of_sound_at_once_is_cleaned_in_pieces() -> None:
    sound = bytes(48 * 10_000)
    assert len(await NoiseReducer().hear(sound, FAR)) == len(sound)


class OneSet(ScriptedEngines):
    """The same for every call, so that a test can look into it."""

    def for_call(self) -> OneSet:
        return self


class ListeningVad:
    """Keeps what the VAD is given."""

    def __init__(self) -> None:
        self.heard = b""

    def open(self) -> VadStream:
        return self

    async def score(self, pcm: bytes) -> Sequence[Score]:
        self.heard += pcm
        return []


@needs_library
@pytest.mark.parametrize("kind", ["websocket", "webrtc"])
def test_the_session_hears_the_cleaned_sound(kind: str) -> None:
    hiss = np.random.default_rng(5).normal(scale=1000, size=24_000 * 3).astype("<i2").tobytes()
    engines = OneSet()
    engines.vad = listener = ListeningVad()  # type: ignore[assignment]

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport(kind).join(calls.open(None, "gpt-realtime"))  # type: ignore[arg-type]
        for wanted in ({"type": "far_field"}, None):
            update = {"type": "realtime", "audio": {"input": {"noise_reduction": wanted}}}
            client.say("session.update", session=update)
            for start in range(0, len(hiss), 960):
                client.speak(hiss[start : start + 960])
        client.say("conversation.item.retrieve", item_id="none, only to know that the rest was handled")
        await client.until("error")

    play(scene, engines=engines)
    assert len(listener.heard) == 2 * len(hiss)
    heard = np.frombuffer(listener.heard, dtype="<i2").astype(float)
    assert heard[48_000:72_000].std() < 200
    assert heard[72_000:].std() > 900


def test_where_the_library_is_missing_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoise, "available", lambda: False)

    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        update = {"type": "realtime", "audio": {"input": {"noise_reduction": {"type": "near_field"}}}}
        client.say("session.update", session=update)
        error = (await client.until("error"))["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "session.audio.input.noise_reduction")
        assert "webrtc-noise-gain" in error["message"]
        update["audio"]["input"]["noise_reduction"] = None  # type: ignore[index]
        client.say("session.update", session=update)
        await client.until("session.updated")
        wanted = SessionPatch(audio=AudioPatch(input=InputPatch(noise_reduction=NEAR)))
        with pytest.raises(ProtocolError, match="cannot reduce noise"):
            calls.open(wanted, "gpt-realtime")

    play(scene)
