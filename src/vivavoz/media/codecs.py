"""The codecs of a call: what an encoder and a decoder are here, and which one a payload type means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from vivavoz.media import g711, opus
from vivavoz.media.loss import LossWatch
from vivavoz.media.receive import Decoder
from vivavoz.media.resample import Resampler
from vivavoz.media.sdp import Codec

_HANGOVER = 25
"""Most silent frames encoded for real before a canned one: they let the encoder's filters run dry."""
_SILENT_PACKET = 8
"""Bytes. So small is only the packet of perfect silence; from there on the same one can be repeated, since
encoder and decoder then keep no memory of the sound before."""


_PATIENCE = 100
"""Frames (2 s) that a change of the encoder waits for silence."""
_CELT_BITRATE = 24000
"""b/s; below it speech in CELT, the cheap mode, is hard to follow."""
_REDUNDANT_BITRATE = 32000
"""b/s; above it Opus leaves the mode that carries FEC."""


class SendingCodec(Protocol):
    """20 ms frames of 24 kHz PCM16LE in, payloads out; ``None`` is a silent frame."""

    def encode(self, pcm: bytes | None) -> bytes: ...

    def reported(self, fraction_lost: int) -> None:
        """The peer says how much it lost since it last said so, of 256."""
        ...


class ReceivingCodec(msgspec.Struct):
    """One payload type's decoder."""

    clock_rate: int
    decoder: Decoder


class OpusSender:
    """Opus; after a little while of silence the payload of a silent frame is repeated without encoding.

    Where the peer reports losses, an encoder with in-band FEC takes over; it costs three times as much. They
    change places in silence, where nobody hears it, or else after two seconds.
    """

    def __init__(
        self,
        encoder: opus.Encoder,
        redundant: Callable[[int], opus.Encoder] | None = None,
        *,
        repeats_silence: bool = True,
    ) -> None:
        """``redundant``: makes the encoder for a path of so much loss (percent); None: there is none."""
        self._encoder = self._quick = encoder
        self._repeats_silence = repeats_silence
        self._redundant = redundant
        self._loss = LossWatch()
        self._waiting = 0
        self._silent_frames = 0
        self._canned = b""

    @property
    def with_fec(self) -> bool:
        return self._encoder is not self._quick

    def reported(self, fraction_lost: int) -> None:
        self._loss.report(fraction_lost)

    def encode(self, pcm: bytes | None) -> bytes:
        if self._loss.lossy != self.with_fec and self._redundant is not None:
            self._change(silent=pcm is None)
        if pcm is not None:
            self._silent_frames = 0
            return self._encoder.encode(pcm)
        if self._silent_frames < _HANGOVER or not self._repeats_silence:
            self._canned = self._encoder.encode(bytes(2 * opus.FRAME_SAMPLES))
            self._silent_frames = (
                _HANGOVER if len(self._canned) <= _SILENT_PACKET else self._silent_frames + 1
            )
        return self._canned

    def _change(self, *, silent: bool) -> None:
        self._waiting += 1
        if not silent and self._waiting < _PATIENCE:
            return
        assert self._redundant is not None
        self._quick.reset()
        self._encoder = self._redundant(self._loss.percent) if self._loss.lossy else self._quick
        self._waiting = self._silent_frames = 0


class G711Sender:
    def __init__(self, law: g711.Law) -> None:
        self._stream = g711.StreamEncoder(law)
        self._silence = bytes([law.silence]) * 160

    def encode(self, pcm: bytes | None) -> bytes:
        return self._silence if pcm is None else self._stream.encode(pcm)

    def reported(self, fraction_lost: int) -> None:
        """Nothing to be done about it: G.711 has no redundancy."""


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

    def carries_past(self, packet: bytes) -> bool:
        return False

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
    """An encoder for ``codec``. Of what the caller wishes (RFC 7587 section 6.1), ``maxaveragebitrate``,
    ``useinbandfec`` and ``cbr`` are kept; mono is what every decoder takes, so ``stereo`` is not needed."""
    if codec.name != "opus":
        return G711Sender(_law(codec.name))
    wish = codec.parameters.get("maxaveragebitrate", "")
    if wish.isascii() and wish.isdigit() and len(wish) < 8:
        bitrate = max(6000, min(bitrate, int(wish)))
    constant = codec.parameters.get("cbr") == "1"
    if bitrate < _CELT_BITRATE:
        application = "voip"
    quick = opus.Encoder(application=application, bitrate=bitrate, complexity=complexity, constant=constant)

    def redundant(loss_percent: int) -> opus.Encoder:
        rate = min(bitrate, _REDUNDANT_BITRATE)
        return opus.Encoder(
            application="voip",
            bitrate=rate,
            complexity=complexity,
            loss_percent=loss_percent,
            constant=constant,
        )

    # RFC 7587 section 6.1: who does not say so cannot use it.
    usable = codec.parameters.get("useinbandfec") == "1" and application == "lowdelay"
    return OpusSender(quick, redundant if usable else None, repeats_silence=not constant)


def silence_suppressed(codec: Codec) -> bool:
    """Whether the peer would rather get no packets in silence (``usedtx``, RFC 7587 section 6.1)."""
    return codec.name == "opus" and codec.parameters.get("usedtx") == "1"


def _law(name: str) -> g711.Law:
    return g711.PCMU if name == "pcmu" else g711.PCMA
