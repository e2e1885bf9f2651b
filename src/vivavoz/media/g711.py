"""G.711 (ITU-T G.711): PCMU and PCMA, and their streaming conversion to and from 24 kHz PCM16."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from vivavoz.media.resample import Resampler

LawName = Literal["pcmu", "pcma"]

_BIAS = 0x84  # added before the µ-law segment search, so that every segment starts at a power of two
_CLIP = 32635


def _mu_law_decode_table() -> npt.NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    magnitude = (((mantissa << 3) + _BIAS) << exponent) - _BIAS
    table: npt.NDArray[np.int16] = np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
    return table


def _a_law_decode_table() -> npt.NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    linear = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, linear, (linear + 0x100) << np.maximum(exponent - 1, 0))
    table: npt.NDArray[np.int16] = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return table


def _mu_law_encode_table() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    sign = np.where(sample < 0, 0x80, 0)
    table: npt.NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return table


def _a_law_encode_table() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.where(sample < 0, -sample - 1, sample).clip(0, 32767)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 7, 0)
    mantissa = (magnitude >> np.where(exponent == 0, 4, exponent + 3)) & 15
    sign = np.where(sample < 0, 0, 0x80)
    table: npt.NDArray[np.uint8] = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8)
    return table


class Law:
    """One companding law. ``encode`` takes and ``decode`` gives mono PCM16LE, sample for byte."""

    def __init__(
        self, name: LawName, to_byte: npt.NDArray[np.uint8], to_sample: npt.NDArray[np.int16], silence: int
    ) -> None:
        self.name = name
        self.silence = silence
        self._to_byte = to_byte
        self._to_sample = to_sample

    def encode(self, pcm: bytes | bytearray | memoryview) -> bytes:
        """PCM16LE -> one byte per sample. Raises ``ValueError`` for an odd number of bytes."""
        return bytes(self._to_byte[np.frombuffer(pcm, dtype="<u2")])

    def decode(self, data: bytes | bytearray | memoryview) -> bytes:
        """One byte per sample -> PCM16LE."""
        return bytes(self._to_sample[np.frombuffer(data, dtype=np.uint8)])


PCMU = Law("pcmu", _mu_law_encode_table(), _mu_law_decode_table(), 0xFF)
PCMA = Law("pcma", _a_law_encode_table(), _a_law_decode_table(), 0xD5)
LAWS: dict[LawName, Law] = {"pcmu": PCMU, "pcma": PCMA}


class StreamDecoder:
    """G.711 bytes at 8 kHz -> PCM16LE at 24 kHz, one stream: three samples out for every byte in."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._resampler = Resampler(8000, 24000)

    def decode(self, data: bytes | bytearray | memoryview) -> bytes:
        return self._resampler.process(self._law.decode(data))


class StreamEncoder:
    """PCM16LE at 24 kHz -> G.711 bytes at 8 kHz, one stream: one byte out for every three samples in;
    up to two samples (or an odd byte) wait for the next call."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._resampler = Resampler(24000, 8000)

    def encode(self, pcm: bytes | bytearray | memoryview) -> bytes:
        return self._law.encode(self._resampler.process(pcm))

    def finish(self) -> bytes:
        """The last bytes, padded with silence; the stream may go on after it."""
        return self._law.encode(self._resampler.finish())
