"""Opus, G.711 and resampling: what goes in is what comes out, near enough."""

from __future__ import annotations

import contextlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media import codecs, g711, opus
from vivavoz.media.resample import Resampler

from .peers import loudness, pitch, tone


def frames(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + 960] for at in range(0, len(pcm), 960)]


def samples(pcm: bytes) -> npt.NDArray[np.int16]:
    return np.frombuffer(pcm, dtype="<i2")


@pytest.mark.parametrize("application", ["lowdelay", "voip", "audio"])
def test_opus_keeps_pitch_and_loudness(application: opus.Application) -> None:
    encoder, decoder = opus.Encoder(application=application), opus.Decoder()
    pcm = tone(1000, 440)
    out = b"".join(decoder.decode(encoder.encode(frame)) for frame in frames(pcm))
    assert len(out) == len(pcm)
    assert abs(pitch(out) - 440) < 5
    assert loudness(out[4800:]) == pytest.approx(loudness(pcm), rel=0.1)


def test_an_opus_packet_knows_its_length() -> None:
    encoder = opus.Encoder()
    assert opus.packet_samples(encoder.encode(bytes(960))) == 480
    assert opus.packet_samples(encoder.encode(bytes(480))) == 240


def test_what_is_no_opus_is_refused() -> None:
    decoder = opus.Decoder()
    with pytest.raises(opus.OpusError, match="corrupted"):
        decoder.decode(b"\xff\xff\xff")
    with pytest.raises(opus.OpusError, match="corrupted"):
        opus.packet_samples(b"\x03")
    with pytest.raises(opus.OpusError, match="invalid argument"):
        opus.Encoder().encode(b"123456")


@given(st.binary(max_size=100))
def test_the_decoder_survives_any_bytes(data: bytes) -> None:
    decoder = opus.Decoder()
    with contextlib.suppress(opus.OpusError):
        decoder.decode(data)
    assert len(decoder.decode(opus.Encoder().encode(bytes(960)))) == 960


def test_a_lost_frame_is_recovered_from_the_next_ones_fec() -> None:
    encoder, decoder = opus.Encoder(application="voip", bitrate=32000), opus.Decoder()
    rng = np.random.default_rng(1)
    voice = samples(tone(2000, 220)) * (0.5 + 0.5 * np.sin(np.arange(48000) / 3000))
    pcm = (voice + rng.normal(0, 200, 48000)).astype("<i2").tobytes()
    packets = [encoder.encode(frame) for frame in frames(pcm)]
    for packet in packets[:50]:
        decoder.decode(packet)
    recovered = decoder.recover(packets[51], 480)
    assert len(recovered) == 960
    assert loudness(recovered) == pytest.approx(loudness(frames(pcm)[50]), rel=0.5)
    assert len(decoder.conceal(480)) == 960


def test_speech_after_canned_silence_is_as_good_as_before() -> None:
    """The sender repeats one silent payload; encoder and decoder must still agree afterwards."""
    for application in ("lowdelay", "voip"):
        sender = codecs.OpusSender(opus.Encoder(application=application))
        decoder = opus.Decoder()
        voice = tone(400, 300)
        for _ in range(2):
            heard = b"".join(decoder.decode(sender.encode(frame)) for frame in frames(voice))
            silence = [decoder.decode(sender.encode(None)) for _ in range(100)]
            assert abs(pitch(heard) - 300) < 8
            assert loudness(heard[2880:]) == pytest.approx(loudness(voice), rel=0.1)
            assert loudness(b"".join(silence[10:])) < 0.001
        assert len(sender.encode(None)) < 40


@pytest.mark.parametrize("law", [g711.PCMU, g711.PCMA])
def test_g711_is_its_own_inverse(law: g711.Law) -> None:
    every = bytes(range(256))
    decoded = law.decode(every)
    again = law.decode(law.encode(decoded))
    assert again == decoded
    assert law.decode(law.encode(bytes(2)))[:2] in (b"\0\0", b"\x08\0")
    assert abs(samples(law.decode(bytes([law.silence])))[0]) <= 8


def test_g711_known_values() -> None:
    assert list(samples(g711.PCMU.decode(b"\x00\x80\xff\x7f\x8f"))) == [-32124, 32124, 0, 0, 16764]
    assert list(samples(g711.PCMA.decode(b"\xd5\x55\xaa\x2a"))) == [8, -8, 32256, -32256]
    assert g711.PCMU.encode(np.array([0, 32767, -32768, 1000], dtype="<i2").tobytes()) == b"\xff\x80\x00\xce"


@pytest.mark.parametrize("law", [g711.PCMU, g711.PCMA])
@given(value=st.integers(-32768, 32767))
def test_g711_is_within_its_step(law: g711.Law, value: int) -> None:
    back = int(samples(law.decode(law.encode(np.array([value], dtype="<i2").tobytes())))[0])
    assert abs(back - value) <= max(16, abs(value) * 0.045)


def test_upsampling_is_exact_in_length_and_true_in_sound() -> None:
    pcm = tone(1000, 1000, rate=8000)
    out = Resampler(8000, 24000).process(pcm)
    assert len(out) == 3 * len(pcm)
    assert abs(pitch(out) - 1000) < 2
    assert loudness(out[2400:-2400]) == pytest.approx(loudness(pcm), rel=0.02)
    # No image of the tone above 4 kHz.
    spectrum = np.abs(np.fft.rfft(samples(out)[2400:-2400] * np.hanning(19200)))
    bins = np.fft.rfftfreq(19200, 1 / 24000)
    assert spectrum[bins > 5000].max() < spectrum.max() / 1000


def test_downsampling_takes_off_what_does_not_fit() -> None:
    keep, drop = tone(1000, 1000), tone(1000, 6000)
    assert loudness(Resampler(24000, 8000).process(keep)[800:]) == pytest.approx(loudness(keep), rel=0.02)
    assert loudness(Resampler(24000, 8000).process(drop)[800:]) < loudness(drop) / 300


@given(
    st.lists(st.integers(0, 500), max_size=30),
    st.sampled_from([(8000, 24000), (24000, 8000), (24000, 24000)]),
)
def test_pieces_give_the_same_as_the_whole(cuts: list[int], rates: tuple[int, int]) -> None:
    pcm = tone(100, 500)[: 2 * 2400]
    whole, pieces = Resampler(*rates), Resampler(*rates)
    out, at = b"", 0
    for cut in cuts:
        out += pieces.process(pcm[at : at + cut])
        at += cut
    out += pieces.process(pcm[at:])
    expected = whole.process(pcm)
    assert len(out) == len(expected)
    # The order in which a matrix product adds depends on its shape and on the CPU, and with it how it rounds.
    assert np.abs(samples(out).astype(int) - samples(expected)).max() <= 1


def test_only_whole_ratios() -> None:
    with pytest.raises(ValueError, match="not a whole ratio"):
        Resampler(44100, 24000)


@pytest.mark.parametrize("law", [g711.PCMU, g711.PCMA])
def test_streams_of_g711_keep_time_and_pitch(law: g711.Law) -> None:
    encoder, decoder = g711.StreamEncoder(law), g711.StreamDecoder(law)
    pcm = tone(1000, 440)
    data = b"".join(encoder.encode(pcm[at : at + 1001]) for at in range(0, len(pcm), 1001)) + encoder.finish()
    assert len(data) == 8000
    back = decoder.decode(data)
    assert len(back) == len(pcm)
    assert abs(pitch(back) - 440) < 2
    assert loudness(back[4800:]) == pytest.approx(loudness(pcm), rel=0.05)
