"""The receiver, in virtual time: whatever the network does, sound comes in order, once, and time goes on."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vivavoz.media.receive import Receiver
from vivavoz.media.rtp import RtpPacket

PT = 111
FRAME = 0.02
HOLD, PATIENCE, AHEAD = 0.06, 0.1, 1.0


class FakeDecoder:
    """A packet is a number; it decodes to 20 ms of that number. Concealed sound is -1, recovered sound -2."""

    def __init__(self) -> None:
        self.decoded: list[int] = []
        self.resets = 0

    def decode(self, packet: bytes) -> bytes:
        if len(packet) != 2:
            raise ValueError("broken")
        self.decoded.append(struct.unpack("<h", packet)[0])
        return packet * 480

    def conceal(self, samples: int) -> bytes:
        return struct.pack("<h", -1) * samples

    def recover(self, following: bytes, samples: int) -> bytes:
        return struct.pack("<h", -2) * samples

    def carries_past(self, packet: bytes) -> bool:
        return True

    def reset(self) -> None:
        self.resets += 1


class FakeCodec(msgspec.Struct):
    decoder: FakeDecoder
    clock_rate: int = 48000


class Listener:
    """A receiver and what it emitted: (time, sound)."""

    def __init__(self) -> None:
        self.decoder = FakeDecoder()
        self.receiver = Receiver({PT: FakeCodec(self.decoder)}, hold=HOLD, patience=PATIENCE, max_ahead=AHEAD)
        self.out = bytearray()

    def packet(self, now: float, number: int, *, ssrc: int = 1, sequence: int | None = None) -> bytes:
        sequence = number if sequence is None else sequence
        payload = struct.pack("<h", number & 0x7FFF)
        packet = RtpPacket(PT, False, sequence & 0xFFFF, number * 960 & 0xFFFFFFFF, ssrc, payload)
        pcm = self.receiver.packet(now, packet)
        self.out += pcm
        return pcm

    def tick(self, now: float) -> bytes:
        pcm = self.receiver.tick(now)
        self.out += pcm
        return pcm

    def run(self, arrivals: Iterable[tuple[float, int]], until: float) -> None:
        """Packets at their times, a tick every 20 ms."""
        queue = sorted(arrivals)
        for index in range(int(until / FRAME) + 1):
            now = index * FRAME
            while queue and queue[0][0] <= now:
                at, number = queue.pop(0)
                self.packet(at, number)
            self.tick(now)

    @property
    def frames(self) -> list[int]:
        """The first sample of every 20 ms emitted."""
        return [value for (value,) in struct.iter_unpack("<h958x", bytes(self.out))]


def steady(count: int, *, start: float = 0.01, first: int = 0) -> list[tuple[float, int]]:
    return [(start + index * FRAME, first + index) for index in range(count)]


def test_packets_in_order_are_decoded_as_they_arrive() -> None:
    listener = Listener()
    for at, number in steady(200):
        assert listener.packet(at, number) == struct.pack("<h", number) * 480
        assert listener.tick(at + 0.01) == b""
    assert listener.receiver.concealed == 0
    assert listener.receiver.lost == 0
    assert listener.receiver.jitter < 0.0001


def test_two_packets_that_changed_places_are_put_right() -> None:
    listener = Listener()
    arrivals = steady(20)
    arrivals[7], arrivals[8] = (arrivals[8][0], 7), (arrivals[7][0], 8)
    listener.run(arrivals, 0.5)
    assert listener.frames[:20] == list(range(20))
    assert listener.receiver.lost == 0


def test_what_waited_for_a_packet_follows_it_at_once() -> None:
    listener = Listener()
    listener.packet(0.0, 0)
    for number, at in ((2, 0.04), (3, 0.045)):
        assert listener.packet(at, number) == b""
    filled = listener.packet(0.05, 1)
    assert filled == b"".join(struct.pack("<h", number) * 480 for number in (1, 2, 3))


def test_one_lost_packet_is_recovered_from_the_next() -> None:
    listener = Listener()
    listener.run([arrival for arrival in steady(30) if arrival[1] != 10], 0.6)
    assert listener.frames[:30] == [*range(10), -2, *range(11, 30)]
    assert (listener.receiver.lost, listener.receiver.concealed) == (1, 1)


def test_a_lost_packet_delays_its_followers_by_60_ms_at_most_and_nothing_after_them() -> None:
    listener = Listener()
    sent = {number: at for at, number in steady(100) if number != 10}
    for number, at in sent.items():
        before = len(listener.decoder.decoded)
        listener.packet(at, number)
        listener.tick(at + 0.001)
        for done in listener.decoder.decoded[before:]:
            assert at - sent[done] <= HOLD + FRAME
            if done > 20:
                assert at == sent[done]


def test_every_second_packet_lost_builds_up_no_delay() -> None:
    listener = Listener()
    arrivals = [arrival for arrival in steady(200) if arrival[1] % 2 == 0]
    sent = {number: at for at, number in arrivals}
    for at, number in arrivals:
        before = len(listener.decoder.decoded)
        listener.packet(at, number)
        listener.tick(at + 0.02)
        for done in listener.decoder.decoded[before:]:
            assert at + 0.02 - sent[done] <= HOLD + 2 * FRAME


def test_when_packets_stop_silence_stands_in_on_the_clock() -> None:
    listener = Listener()
    listener.run(steady(50), 5.0)
    assert listener.frames[:50] == list(range(50))
    assert listener.frames[50:52] == [-1, -1]
    assert set(listener.frames[52:]) == {0}
    assert 5.0 - PATIENCE - FRAME <= len(listener.out) / 48000 <= 5.0


def test_without_any_packet_time_goes_on() -> None:
    listener = Listener()
    listener.run([], 3.0)
    assert not any(listener.out)
    assert 3.0 - PATIENCE - FRAME <= len(listener.out) / 48000 <= 3.0


def test_a_stall_of_the_network_loses_no_word() -> None:
    listener = Listener()
    arrivals = [(at if not 0.5 < at < 0.9 else 0.9, number) for at, number in steady(200)]
    listener.run(arrivals, 4.0)
    assert listener.decoder.decoded == list(range(200))
    assert listener.receiver.discarded == 0


def test_a_sender_that_runs_twice_as_fast_is_bounded() -> None:
    listener = Listener()
    listener.run([(at / 2, number) for at, number in steady(1000)], 10.0)
    assert len(listener.out) / 48000 <= 10.0 + AHEAD + 0.2
    assert listener.receiver.discarded > 400


def test_a_crystal_that_is_off_by_a_thousandth_costs_nothing() -> None:
    for speed in (0.999, 1.001):
        listener = Listener()
        listener.run([(at * speed, number) for at, number in steady(20000)], 20000 * FRAME * speed)
        assert listener.decoder.decoded[:19990] == list(range(19990))
        assert (listener.receiver.discarded, listener.receiver.concealed) == (0, 0)
        assert 0 not in listener.frames[1:]


def test_another_stream_takes_over_after_two_packets_in_a_row() -> None:
    listener = Listener()
    for at, number in steady(10):
        listener.packet(at, number)
    resets = listener.decoder.resets
    assert listener.packet(0.21, 500, ssrc=2) == b""
    assert listener.packet(0.22, 10) != b""
    assert listener.packet(0.23, 501, ssrc=2) == b""
    assert listener.packet(0.25, 502, ssrc=2) == struct.pack("<h", 502) * 480
    assert listener.receiver.ssrc == 2
    assert listener.decoder.resets == resets + 1


def test_a_jump_of_the_sequence_is_another_stream() -> None:
    listener = Listener()
    listener.run(steady(10), 0.2)
    for index in range(5):
        listener.packet(0.3 + index * FRAME, 10 + index, sequence=30000 + index)
    assert listener.decoder.decoded == [*range(10), 11, 12, 13, 14]


def test_a_pause_of_the_sender_is_no_jitter() -> None:
    listener = Listener()
    listener.run(steady(50) + steady(50, start=30.0, first=50), 31.5)
    assert listener.receiver.jitter < 0.001
    assert listener.decoder.decoded == list(range(100))


def test_broken_and_unknown_payloads_are_dropped() -> None:
    listener = Listener()
    listener.packet(0.0, 0)
    for payload_type, payload in [(PT, b""), (13, b"xx"), (PT, b"xxx")]:
        packet = RtpPacket(payload_type, False, 1, 960, 1, payload)
        assert listener.receiver.packet(0.02, packet) == b""
    assert listener.receiver.discarded == 3


def test_the_report_says_what_was_lost() -> None:
    listener = Listener()
    for at, number in steady(100):
        if number % 4 != 1:
            listener.packet(at, number)
    block = listener.receiver.report(0, 0.0, 48000)
    assert block is not None
    assert (block.ssrc, block.lost, block.fraction_lost) == (1, 25, 64)
    assert block.highest & 0xFFFF == 99
    assert Listener().receiver.report(0, 0.0, 48000) is None


@pytest.mark.parametrize("first", [0, 32760, 65530])
def test_sequence_numbers_wrap(first: int) -> None:
    listener = Listener()
    for at, number in steady(300):
        listener.packet(at, number, sequence=first + number)
    assert listener.decoder.decoded == list(range(300))


def test_losses_and_reordering_at_the_wrap_are_as_anywhere() -> None:
    listener = Listener()
    order = [*range(4), 5, 4, 6, 8, 9, *range(10, 30)]  # 5, of the sequence number 0, overtakes; 7 is lost
    for place, number in enumerate(order):
        listener.packet(place * FRAME, number, sequence=65531 + number)
        listener.tick(place * FRAME + 0.01)
    assert listener.decoder.decoded == [number for number in range(30) if number != 7]
    assert (listener.receiver.lost, listener.receiver.concealed, listener.receiver.discarded) == (1, 1, 0)
    block = listener.receiver.report(0, 0.0, 48000)
    assert block is not None
    assert block.highest == 65531 + 29


fates = st.lists(
    st.one_of(
        st.none(),  # lost
        st.floats(0, 0.04),  # ordinary jitter
        st.floats(0, 3.0),  # held up on the way
        st.tuples(st.floats(0, 0.04), st.floats(0, 1.0)),  # arrives twice
    ),
    max_size=150,
)


@given(fates, st.sampled_from([0.5, 0.98, 1.0, 1.02, 2.0]))
def test_whatever_the_network_does(fates: list[float | tuple[float, float] | None], speed: float) -> None:
    arrivals: list[tuple[float, int]] = []
    for number, fate in enumerate(fates):
        sent = number * FRAME * speed
        delays = fate if isinstance(fate, tuple) else (fate,)
        arrivals += [(sent + delay, number) for delay in delays if delay is not None]
    listener = Listener()
    until = len(fates) * FRAME * speed + 4.0
    listener.run(arrivals, until)

    decoded = listener.decoder.decoded
    assert decoded == sorted(set(decoded)), "in order, and none twice"
    assert set(decoded) <= {number for _, number in arrivals}
    emitted = len(listener.out) / 48000
    assert until * 0.995 - PATIENCE - HOLD - 2 * FRAME <= emitted <= until * 1.005 + AHEAD + 0.2
    assert len(listener.out) % 960 == 0
    receiver = listener.receiver
    assert receiver.packets <= len(arrivals)
    assert len(decoded) <= receiver.packets
    assert receiver.lost <= len(fates)
    assert not listener.receiver._held, "nothing waits for ever"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.3),
            st.integers(0, 65535),
            st.integers(0, 2**32 - 1),
            st.integers(1, 3),
            st.binary(max_size=3),
        ),
        max_size=60,
    )
)
def test_packets_that_make_no_sense_at_all(packets: list[tuple[float, int, int, int, bytes]]) -> None:
    listener = Listener()
    listener.tick(0.0)
    now = 0.0
    for wait, sequence, timestamp, ssrc, payload in packets:
        now += wait
        listener.out += listener.receiver.packet(
            now, RtpPacket(PT, False, sequence, timestamp, ssrc, payload)
        )
        listener.tick(now)
    emitted = len(listener.out) / 48000
    assert now * 0.995 - PATIENCE - HOLD - 2 * FRAME <= emitted <= now * 1.005 + AHEAD + 0.2


def test_a_repeated_packet_does_not_prolong_the_wait() -> None:
    listener = Listener()
    listener.packet(0.0, 0)
    for repeat in range(10):
        listener.packet(0.04 + repeat * 0.01, 2)
    assert listener.decoder.decoded == [0]
    listener.tick(0.1)
    assert listener.decoder.decoded == [0, 2]
    assert listener.receiver.discarded == 9


def delays(listener: Listener, arrivals: list[tuple[float, int]], until: float) -> dict[int, float]:
    """How long after its arrival each packet was decoded (s), with a tick every 5 ms."""
    came = {number: at for at, number in arrivals}
    queue = sorted(arrivals)
    found: dict[int, float] = {}
    for index in range(int(until / 0.005) + 1):
        now = index * 0.005
        before = len(listener.decoder.decoded)
        while queue and queue[0][0] <= now:
            at, number = queue.pop(0)
            listener.packet(at, number)
        listener.tick(now)
        for number in listener.decoder.decoded[before:]:
            found[number] = now - came[number]
    return found


def test_on_a_path_that_keeps_the_order_a_gap_waits_for_no_more_than_a_packet() -> None:
    listener = Listener()
    arrivals = [arrival for arrival in steady(3100) if arrival[1] not in (10, 3000)]
    waited = delays(listener, arrivals, 63)
    for after in (11, 3001):
        assert 0.014 <= waited[after] <= FRAME
        assert waited[after + 1] <= 0.006


@pytest.mark.parametrize("late", [0.045, 0.055])
def test_reordering_that_was_seen_is_waited_for(late: float) -> None:
    """The first comes too late after a minute of order; then one in two seconds is no loss any more."""
    listener = Listener()
    delayed = range(3000, 3500, 100)
    arrivals = [(at + FRAME + late if number in delayed else at, number) for at, number in steady(3600)]
    listener.run(arrivals, 72.05)
    assert set(range(3600)) - set(listener.decoder.decoded) == {3000}
    assert (listener.receiver.dropped["late"], listener.receiver.concealed) == (1, 1)


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 0.5)), max_size=20))
@example([(10, 0.5), (11, 0.065)])  # 12 is the first to come and the last to go
def test_no_path_makes_a_gap_wait_longer_than_60_ms(late: list[tuple[int, float]]) -> None:
    listener = Listener()
    behind = dict(late)
    arrivals = [(at + behind.get(number, 0.0), number) for at, number in steady(401)]
    for number, waited in delays(listener, arrivals, 10).items():
        assert waited <= HOLD + 0.006, number


def test_a_caller_who_sends_nothing_in_silence_is_silent_on_time() -> None:
    """DTX: in a pause one packet every 400 ms, the sequence without a gap."""
    listener = Listener()
    word, pause = steady(50), [(1.01 + 0.4 * n, 49 + n) for n in range(1, 6)]
    again = [(3.4 + FRAME * n, 55 + n) for n in range(50)]
    listener.run(word + pause + again, 4.6)
    assert listener.decoder.decoded == list(range(105))
    frames = listener.frames
    assert frames[:50] == list(range(50))
    began = frames.index(55)
    assert set(frames[50:began]) <= {-1, 0, *range(50, 55)}
    assert 3.4 - PATIENCE <= began * FRAME <= 3.4 + FRAME, "the silence is as long as it was"
    assert frames[began : began + 50] == list(range(55, 105))
    assert (listener.receiver.lost, listener.receiver.discarded) == (0, 0)


def test_a_caller_who_was_away_for_half_a_minute_goes_on_where_the_clock_is() -> None:
    """The timestamps have jumped by as much as the clock, or by nothing, or by hours: it does not matter."""
    for jump in (0, 30 * 48000, 10**9):
        listener = Listener()
        listener.run(steady(50), 31.0)
        for number in range(50):
            at = 31.01 + FRAME * number
            payload = struct.pack("<h", 1000 + number)
            timestamp = (50 + number) * 960 + jump & 0xFFFFFFFF
            listener.out += listener.receiver.packet(
                at, RtpPacket(PT, False, 50 + number, timestamp, 1, payload)
            )
            listener.tick(at)
        assert listener.decoder.decoded == [*range(50), *range(1000, 1050)]
        assert 32 - PATIENCE - FRAME <= len(listener.out) / 48000 <= 32 + FRAME
        assert listener.receiver.jitter < 0.001
        assert listener.receiver.discarded == 0


@pytest.mark.parametrize("ppm", [200, -200])
def test_an_hour_with_a_crystal_that_is_off(ppm: int) -> None:
    decoder = FakeDecoder()
    receiver = Receiver({PT: FakeCodec(decoder)}, hold=HOLD, patience=PATIENCE, max_ahead=AHEAD)
    emitted = 0
    period = FRAME * (1 - ppm / 1_000_000)
    for number in range(180_000):
        now = number * period
        emitted += len(
            receiver.packet(now, RtpPacket(PT, False, number & 0xFFFF, number * 960 & 0xFFFFFFFF, 1, b"\1\0"))
        )
        if number % 3 == 0:
            emitted += len(receiver.tick(now + 0.01))
    assert emitted == 180_000 * 960
    assert (receiver.concealed, receiver.discarded, receiver.lost) == (0, 0, 0)
    assert not receiver._held
    assert abs(receiver._behind(180_000 * period)) <= 481
