"""The codecs of a call: what an encoder and a decoder are here, and which one a payload type means."""

from __future__ import annotations

from typing import Protocol

import msgspec

from vivavoz.media import g711, opus
from vivavoz.media.receive import Decoder
from vivavoz.media.resample import Resampler
from vivavoz.media.sdp import Codec

_HANGOVER = 25
"""Most silent frames encoded for real before a canned one: they let the encoder's filters run dry."""
_SILENT_PACKET = 8
"""Bytes. So small is only the packet of perfect silence; from there on the same one can be repeated, since
encoder and decoder then keep no memory of the sound before."""


class SendingCodec(Protocol):
    """20 ms frames of 24 kHz PCM16LE in, payloads out; ``None`` is a silent frame."""

    def encode(self, pcm: bytes | None) -> bytes: ...


class ReceivingCodec(msgspec.Struct):
    """One payload type's decoder."""

    clock_rate: int
    decoder: Decoder


class OpusSender:
    """Opus; after a little while of silence the payload of a silent frame is repeated without encoding."""

    def __init__(self, encoder: opus.Encoder) -> None:
        self._encoder = encoder
        self._silent_frames = 0
        self._canned = b""

    def encode(self, pcm: bytes | None) -> bytes:
        if pcm is not None:
            self._silent_frames = 0
            return self._encoder.encode(pcm)
        if self._silent_frames < _HANGOVER:
            self._canned = self._encoder.encode(bytes(2 * opus.FRAME_SAMPLES))
            self._silent_frames = (
                _HANGOVER if len(self._canned) <= _SILENT_PACKET else self._silent_frames + 1
            )
        return self._canned


class G711Sender:
    def __init__(self, law: g711.Law) -> None:
        self._stream = g711.StreamEncoder(law)
        self._silence = bytes([law.silence]) * 160

    def encode(self, pcm: bytes | None) -> bytes:
        return self._silence if pcm is None else self._stream.encode(pcm)


class G711Receiver:
    """A :class:`~vivavoz.media.receive.Decoder`; what is lost is silence."""

    def __init__(self, law: g711.Law) -> None:
        self._law = law
        self._resampler = Resampler(8000, 24000)

    def decode(self, packet: bytes) -> bytes:
        if len(packet) > 960:
            raise ValueError("a G.711 packet of more than 120 ms")
        return self._resampler.process(self._law.decode(packet))

    def conceal(self, samples: int) -> bytes:
        return self._resampler.process(bytes(samples // 3 * 2))

    def recover(self, following: bytes, samples: int) -> bytes:
        return self.conceal(samples)

    def reset(self) -> None:
        self._resampler = Resampler(8000, 24000)


def receiving(codecs: list[Codec]) -> dict[int, ReceivingCodec]:
    """The decoders of what was agreed on, by payload type."""
    return {
        codec.payload_type: ReceivingCodec(
            codec.rate, opus.Decoder() if codec.name == "opus" else G711Receiver(_law(codec.name))
        )
        for codec in codecs
    }


def preferred(codecs: list[Codec]) -> Codec:
    """The codec to send with: Opus where it can be had, else what the caller named first."""
    return next((codec for codec in codecs if codec.name == "opus"), codecs[0])


def sending(codec: Codec, *, application: opus.Application, bitrate: int, complexity: int) -> SendingCodec:
    """An encoder for ``codec``; the caller's ``maxaveragebitrate`` (RFC 7587) is kept."""
    if codec.name != "opus":
        return G711Sender(_law(codec.name))
    wish = codec.parameters.get("maxaveragebitrate", "")
    if wish.isascii() and wish.isdigit() and len(wish) < 8:
        bitrate = max(6000, min(bitrate, int(wish)))
    return OpusSender(opus.Encoder(application=application, bitrate=bitrate, complexity=complexity))


def _law(name: str) -> g711.Law:
    return g711.PCMU if name == "pcmu" else g711.PCMA
