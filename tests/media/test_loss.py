"""What the sender does about losses that the peer reports, and about a peer that wants no silence."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media import codecs, opus, rtcp, rtp
from vivavoz.media.audio import AudioStream
from vivavoz.media.config import MediaConfig
from vivavoz.media.loss import LossWatch
from vivavoz.media.sdp import Codec

from .peers import loudness, tone

SSRC = 77
CHROME = {"minptime": "10", "useinbandfec": "1"}


def opus_codec(parameters: dict[str, str]) -> Codec:
    return Codec(111, "opus", 48000, parameters)


def with_silk(packet: bytes) -> bool:
    """Whether a packet is of a mode that carries in-band FEC (RFC 6716, table 2)."""
    return packet[0] >> 3 < 16


class NoSrtp:
    """Packets as they are."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()

    def protect(self, packet: bytes) -> bytes:
        return packet

    protect_rtcp = unprotect = unprotect_rtcp = protect


class Sending:
    """One call's sound, sent to a list."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self.packets: list[rtp.RtpPacket] = []
        self.stream = AudioStream(
            MediaConfig(), [opus_codec(parameters)], ssrc=SSRC, sends=True, transmit=self.sent
        )
        self.stream.start(NoSrtp(), 0.0)  # type: ignore[arg-type]

    def sent(self, data: bytes) -> None:
        if not rtp.is_rtcp(data) and (packet := rtp.parse(data)) is not None:
            self.packets.append(packet)

    def report(self, fraction_lost: int, ssrc: int = SSRC) -> None:
        block = rtcp.ReportBlock(ssrc=ssrc, fraction_lost=fraction_lost)
        _, authentic = self.stream.received(rtcp.receiver_report(1, [block]), 0.0, listening=True)
        assert authentic

    def speak(self, ms: int) -> list[rtp.RtpPacket]:
        self.stream.playout.write(tone(ms, 300), "speech")
        return self.run(ms)

    def run(self, ms: int) -> list[rtp.RtpPacket]:
        before = len(self.packets)
        for _ in range(ms // 20):
            self.stream.send(0)
        return self.packets[before:]


def test_losses_bring_redundancy_at_the_next_silence_and_their_end_takes_it_away() -> None:
    call = Sending(CHROME)
    assert not any(with_silk(packet.payload) for packet in call.speak(200))
    call.report(13)  # 5 %
    call.report(13)
    assert not any(with_silk(packet.payload) for packet in call.speak(200)), "not in the middle of a word"
    call.run(20)
    assert all(with_silk(packet.payload) for packet in call.speak(200))
    for _ in range(12):
        call.report(0)
    call.run(20)
    assert not any(with_silk(packet.payload) for packet in call.speak(200))


def test_without_a_pause_redundancy_comes_after_two_seconds() -> None:
    call = Sending(CHROME)
    call.report(26)
    modes = [with_silk(packet.payload) for packet in call.speak(2400)]
    assert modes.index(True) == 99
    assert all(modes[99:])


@pytest.mark.parametrize("parameters", [{}, {"useinbandfec": "0"}])
def test_a_peer_that_cannot_use_redundancy_is_sent_none(parameters: dict[str, str]) -> None:
    call = Sending(parameters)
    call.report(128)
    call.run(20)
    assert not any(with_silk(packet.payload) for packet in call.speak(400))


def test_losses_of_another_stream_are_not_ours() -> None:
    call = Sending(CHROME)
    call.report(128, ssrc=SSRC + 1)
    call.run(20)
    assert not any(with_silk(packet.payload) for packet in call.speak(200))


def test_the_lost_beginning_of_a_word_is_heard_after_all() -> None:
    """A concealed one is silence: nothing before it says what it was."""
    word = [tone(200, 180)[at : at + 960] for at in range(0, 9600, 960)]
    pause = [bytes(960)] * 10
    sender = codecs.sending(opus_codec(CHROME), application="lowdelay", bitrate=48000, complexity=5)
    sender.reported(26)
    sender.encode(None)
    frames = [*pause, *word] * 10
    packets = [sender.encode(frame) for frame in frames]
    with_fec, without = opus.Decoder(), opus.Decoder()
    redundant, concealed = [], []
    for number, packet in enumerate(packets):
        if number % 20 == 11:  # the second frame of a word
            redundant.append(loudness(with_fec.recover(packets[number + 1], 480)))
        else:
            with_fec.decode(packet)
        if number % 20 in (10, 11):
            concealed.append(loudness(without.conceal(480)))
        else:
            without.decode(packet)
    assert np.median(redundant) > 5 * np.median(concealed)
    assert np.median(redundant) == pytest.approx(loudness(word[1]), rel=0.5)


def test_a_peer_that_wants_no_silence_gets_none_and_a_marker_where_speech_begins() -> None:
    call = Sending({**CHROME, "usedtx": "1"})
    call.speak(200)
    assert len(call.run(1000)) == 10, "a little silence, so that the last word ends well"
    before = call.packets[-1]
    first, second = call.speak(40)
    assert (first.marker, second.marker) == (True, False)
    assert first.sequence == (before.sequence + 1) & 0xFFFF
    assert (first.timestamp - before.timestamp) % 2**32 == 960 * 41


def test_others_get_silence_too() -> None:
    call = Sending(CHROME)
    call.speak(40)
    assert len(call.run(1000)) == 50


@given(st.lists(st.integers(0, 255), max_size=200))
def test_any_reports_leave_a_sane_dose(reports: list[int]) -> None:
    watch = LossWatch()
    for each in reports:
        watch.report(each)
        assert 5 <= watch.percent <= 30
    for _ in range(30):
        watch.report(0)
    assert not watch.lossy


def test_one_lost_packet_is_no_lossy_path() -> None:
    watch = LossWatch()
    watch.report(3)  # one of a hundred
    assert not watch.lossy


def sizes(call: Sending, seconds: int = 4) -> list[int]:
    call.speak(seconds * 1000)
    return [len(packet.payload) for packet in call.packets]


@pytest.mark.parametrize("wish", ["12000", "20000", "32000"])
def test_the_callers_bitrate_is_kept(wish: str) -> None:
    call = Sending({**CHROME, "maxaveragebitrate": wish})
    average = sum(sizes(call)) * 8 / 4
    assert 0.5 * int(wish) <= average <= 1.1 * int(wish)
    assert with_silk(call.packets[50].payload) == (int(wish) < 24000), "CELT is no good for so little"


@pytest.mark.parametrize("wish", ["", "x", "-1", "510000", "999999999999"])
def test_a_bitrate_that_means_nothing_changes_nothing(wish: str) -> None:
    assert sizes(Sending({**CHROME, "maxaveragebitrate": wish}), 1) == sizes(Sending(CHROME), 1)


def test_a_caller_who_wants_packets_of_one_size_gets_them_in_silence_too() -> None:
    call = Sending({**CHROME, "cbr": "1"})
    call.run(200)
    call.speak(400)
    call.run(1000)
    assert {len(packet.payload) for packet in call.packets} == {120}
    assert len({len(packet.payload) for packet in Sending(CHROME).speak(400)}) > 1


@pytest.mark.parametrize("parameters", [{"stereo": "1"}, {"sprop-stereo": "1"}, {"stereo": "0"}])
def test_everybody_gets_mono(parameters: dict[str, str]) -> None:
    packets = Sending({**CHROME, **parameters}).speak(200)
    assert not any(packet.payload[0] & 4 for packet in packets)


def test_silence_is_encoded_for_half_a_second_and_then_sent_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = Sending(CHROME)
    encoded = 0
    encode = opus.Encoder.encode

    def counted(self: opus.Encoder, pcm: bytes) -> bytes:
        nonlocal encoded
        encoded += 1
        return encode(self, pcm)

    monkeypatch.setattr(opus.Encoder, "encode", counted)
    for _ in range(3):
        call.speak(200)
        encoded = 0
        assert len(call.run(10_000)) == 500
        assert encoded <= 25
