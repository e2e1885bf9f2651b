"""When the sound of a WebSocket's deltas would be heard."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from vivavoz.measuring.sound import RATE
from vivavoz.measuring.websocket import Player


def delta(seconds: float, *, quiet_s: float = 0.0, response: str = "resp_1") -> dict[str, object]:
    """A tone behind silence."""
    tone = np.full(round(seconds * RATE), 5000, dtype="<i2")
    tone[: round(quiet_s * RATE)] = 0
    return {"type": "d", "response_id": response, "delta": base64.b64encode(tone.tobytes()).decode()}


async def test_what_comes_in_time_is_played_without_a_gap() -> None:
    player = Player()
    player.delta(10.0, delta(0.5, quiet_s=0.1))
    player.delta(10.2, delta(0.5))
    assert [(p.start, p.end, p.waited) for p in player.pieces] == [
        (10.0, 10.5, 0.0),
        (10.5, 11.0, 0.0),
    ]
    assert await player.audible(after=9.0) == pytest.approx(10.1)
    assert player.last_audible(9.0, 10.7) == 10.7
    assert player.last_audible(9.0, 12.0) == pytest.approx(11.0, abs=0.001)


def test_it_stands_still_where_sound_is_late_but_not_between_responses() -> None:
    player = Player()
    player.delta(10.0, delta(0.5))
    player.delta(10.7, delta(0.5))
    player.delta(20.0, delta(0.5, response="resp_2"))
    assert [p.waited for p in player.pieces] == pytest.approx([0.0, 0.2, 0.0])


async def test_who_speaks_is_not_answered_by_what_was_queued() -> None:
    player = Player()
    for at in (10.0, 10.1, 10.2):
        player.delta(at, delta(0.5))
    player.flush(10.6)
    assert player.cut == [10.6]
    assert player.last_audible(9.0, 20.0) == pytest.approx(10.6)
    player.delta(10.8, delta(0.5, response="resp_2"))
    assert player.pieces[-1].start == 10.8
    assert await player.audible(after=10.6) == pytest.approx(10.8)


def test_nothing_is_cut_where_nothing_is_queued() -> None:
    player = Player()
    player.delta(10.0, delta(0.5))
    player.flush(11.0)
    assert player.cut == []
    assert player.last_audible(9.0, 20.0) == pytest.approx(10.5, abs=0.001)


@pytest.mark.parametrize("sound", ["not base64!", "QQ==", "", None, 7])
def test_what_is_no_sound_is_counted(sound: object) -> None:
    player = Player()
    player.delta(1.0, {"type": "d", "delta": sound})
    assert (player.unreadable, player.pieces) == (1, [])


async def test_silence_is_not_waited_for_for_ever() -> None:
    with pytest.raises(TimeoutError, match=r"nothing audible within 0\.01 s"):
        await Player().audible(after=0.0, timeout_s=0.01)
