"""The playout buffer: what goes in comes out in frames, in order, and every tag is accounted for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media.playout import FRAME_BYTES, Frame, Playout
from vivavoz.media.ports import Played, PlayoutFull


def test_silence_when_there_is_nothing() -> None:
    playout = Playout()
    assert playout.take().pcm is None
    assert playout.queued_ms == 0


def test_a_tag_is_announced_played_and_padded() -> None:
    playout = Playout()
    playout.write(b"\1\0" * 600, "a")
    playout.end("a")
    assert playout.queued_ms == 25
    first = playout.take()
    assert (first.pcm, first.playing, first.played) == (b"\1\0" * 480, ("a",), ())
    second = playout.take()
    assert (second.pcm, second.playing) == (b"\1\0" * 120 + bytes(720), ())
    assert second.played == (Played("a", 600, True),)
    assert playout.take().pcm is None


def test_tags_follow_each_other_without_a_gap() -> None:
    playout = Playout()
    playout.write(b"\1\0" * 100, "a")
    playout.end("a")
    playout.write(b"\2\0" * 380, "b")
    frame = playout.take()
    assert frame.pcm == b"\1\0" * 100 + b"\2\0" * 380
    assert frame.playing == ("a", "b")
    assert frame.played == (Played("a", 100, True),)


def test_an_end_after_the_last_sample_is_told_with_the_next_frame() -> None:
    playout = Playout()
    playout.write(b"\1\0" * 480, "a")
    assert playout.take().played == ()
    playout.end("a")
    frame = playout.take()
    assert (frame.pcm, frame.played) == (None, (Played("a", 480, True),))


def test_a_tag_without_sound_ends_too() -> None:
    playout = Playout()
    playout.end("a")
    assert playout.take().played == (Played("a", 0, True),)


def test_a_flush_fades_and_says_what_was_played() -> None:
    playout = Playout()
    loud = np.full(2400, 10000, dtype="<i2").tobytes()
    playout.write(loud, "a")
    playout.end("a")
    playout.write(loud, "b")
    playout.take()
    assert playout.flush() == [Played("a", 480), Played("b", 0)]
    assert playout.queued_ms == 0
    frame = playout.take()
    assert frame.pcm is not None
    assert (frame.playing, frame.played) == ((), ())
    samples = np.frombuffer(frame.pcm, dtype="<i2")
    assert samples[0] == 10000
    assert (np.diff(samples.astype(int)) <= 0).all()
    assert not samples[240:].any()
    assert playout.take().pcm is None


def test_a_flush_of_what_never_sounded_makes_no_sound() -> None:
    playout = Playout()
    playout.write(b"\1\0" * 480, "a")
    assert playout.flush() == [Played("a", 0)]
    assert playout.take().pcm is None
    assert playout.flush() == []


def test_new_sound_follows_the_fade() -> None:
    playout = Playout()
    playout.write(b"\0\x20" * 4800, "a")
    playout.take()
    playout.flush()
    playout.write(b"\1\0" * 480, "b")
    frame = playout.take()
    assert frame.pcm is not None
    assert frame.pcm[480:] == b"\1\0" * 240
    assert frame.playing == ("b",)


def test_it_is_bounded() -> None:
    playout = Playout(limit_ms=100)
    playout.write(bytes(4000), "a")
    with pytest.raises(PlayoutFull, match="83 ms of sound are queued, at most 100 ms"):
        playout.write(bytes(1000), "a")
    assert playout.queued == 2000
    playout.write(bytes(800), "a")


def test_half_samples_and_writes_after_the_end_are_refused() -> None:
    playout = Playout()
    with pytest.raises(ValueError, match="even number"):
        playout.write(b"123", "a")
    playout.write(b"12", "a")
    playout.end("a")
    playout.end("a")
    with pytest.raises(ValueError, match="ended"):
        playout.write(b"12", "a")


tags = st.sampled_from("abcd")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), tags, st.integers(0, 2000)),
        st.tuples(st.just("end"), tags, st.just(0)),
        st.tuples(st.just("flush"), st.just(""), st.just(0)),
        st.tuples(st.sampled_from(["hold", "release"]), st.just(""), st.just(0)),
        st.tuples(st.just("take"), st.just(""), st.integers(1, 5)),
    ),
    max_size=60,
)


@given(steps)
def test_every_sample_is_played_once_or_flushed(steps: list[tuple[str, str, int]]) -> None:
    playout = Playout(limit_ms=1000)
    written: dict[str, int] = {}
    ended: set[str] = set()
    begun: set[str] = set()
    sent = b""
    expected = b""
    fades = 0
    number = 1

    def take() -> None:
        nonlocal sent
        frame = playout.take()
        if frame.pcm is not None:
            assert len(frame.pcm) == FRAME_BYTES
            sent += frame.pcm
        begun.update(frame.playing)
        for played in frame.played:
            assert played.complete
            assert played.tag in ended
            assert played.samples == written.pop(played.tag, 0)
            ended.discard(played.tag)
            begun.discard(played.tag)

    for step, tag, amount in steps:
        if step == "write":
            if tag in ended:
                continue
            try:
                playout.write(number.to_bytes(2, "little") * amount, tag)
            except PlayoutFull:
                assert playout.queued + amount > 24000
                continue
            written[tag] = written.get(tag, 0) + amount
            expected += number.to_bytes(2, "little") * amount
            number += 1
        elif step == "end":
            playout.end(tag)
            written.setdefault(tag, 0)
            ended.add(tag)
        elif step == "flush":
            before = playout.queued
            for played in playout.flush():
                assert not played.complete
                assert 0 <= played.samples <= written[played.tag]
                assert (played.samples > 0) == (played.tag in begun)
                del written[played.tag]
            assert not written
            ended.clear()
            begun.clear()
            fades += 1
            expected = expected[: len(expected) - 2 * before]
            take()  # the fade
        elif step == "hold":
            playout.hold()
            fades += 1
        elif step == "release":
            playout.release()
        else:
            for _ in range(amount):
                take()
        assert playout.queued <= 24000
    playout.release()
    while playout.queued or ended:
        take()
    assert playout.take().pcm is None
    if not fades:
        sounding = np.frombuffer(sent, dtype="<i2")
        assert sounding[sounding != 0].tobytes() == expected


def samples_of(frame: Frame) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.frombuffer(frame.pcm or b"", dtype="<i2").astype(np.int64)


DOWN = np.linspace(1.0, 0.0, 240, endpoint=False, dtype=np.float32)


def test_held_sound_fades_is_silent_and_goes_on_with_the_same_sample() -> None:
    sound = (np.arange(2400) + 1000).astype("<i2")
    playout = Playout()
    playout.write(sound.tobytes(), "a")
    playout.take()
    playout.hold()
    playout.hold()
    fade = samples_of(playout.take())
    assert (fade[:240] == (sound[480:720] * DOWN).astype("<i2")).all()
    assert not fade[240:].any()
    assert [playout.take() for _ in range(3)] == [Frame(None)] * 3
    assert playout.queued == 1920
    playout.write(b"\1\0" * 480, "b")
    playout.release()
    back = samples_of(playout.take())
    assert (back[:240] == (sound[480:720] * DOWN[::-1]).astype("<i2")).all()
    assert (back[240:] == sound[720:960]).all()
    assert (samples_of(playout.take()) == sound[960:1440]).all()


def test_neither_fade_of_a_hold_clicks() -> None:
    playout = Playout()
    playout.write(np.full(4800, 10_000, dtype="<i2").tobytes(), "a")
    frames = [playout.take()]
    playout.hold()
    frames += [playout.take(), playout.take()]
    playout.release()
    frames += [playout.take(), playout.take()]
    heard = np.concatenate([samples_of(Frame(frame.pcm or bytes(FRAME_BYTES))) for frame in frames])
    assert abs(np.diff(heard)).max() <= 10_000 // 240 + 1


def test_a_hold_that_is_over_before_a_frame_went_changes_nothing() -> None:
    playout = Playout()
    playout.write(b"\0\x20" * 1440, "a")
    playout.take()
    playout.hold()
    playout.release()
    assert playout.take().pcm == b"\0\x20" * 480


def test_what_has_not_begun_waits_for_the_release_and_begins_as_it_is() -> None:
    playout = Playout()
    playout.hold()
    playout.write(b"\0\x20" * 480, "a")
    playout.end("a")
    assert playout.take() == Frame(None)
    playout.release()
    assert playout.take() == Frame(b"\0\x20" * 480, ("a",), (Played("a", 480, True),))


def test_a_flush_tells_what_had_sounded_before_the_hold() -> None:
    playout = Playout()
    playout.write(b"\0\x20" * 2400, "a")
    playout.take()
    playout.hold()
    playout.take()
    playout.take()
    assert playout.flush() == [Played("a", 480)]
    playout.write(b"\0\x20" * 480, "b")
    assert playout.take() == Frame(None)
    playout.release()
    assert playout.take() == Frame(b"\0\x20" * 480, ("b",))


def test_a_flush_at_the_same_time_as_the_hold_fades_once() -> None:
    playout = Playout()
    playout.write(b"\0\x20" * 2400, "a")
    playout.take()
    playout.hold()
    assert playout.flush() == [Played("a", 480)]
    playout.release()
    assert (samples_of(playout.take())[:240] == (np.full(240, 0x2000) * DOWN).astype("<i2")).all()
    assert playout.take() == Frame(None)
