"""Opus through libopus itself: 24 kHz mono in and out, no conversion around it.

The library is the system's ``libopus.so.0`` or, where there is none, the one that PyAV's wheel carries
(PyAV comes with aiortc).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import glob
import importlib.util
import os
from typing import Literal

SAMPLE_RATE = 24000
FRAME_SAMPLES = 480
"""20 ms at 24 kHz."""
MAX_FRAME_SAMPLES = 2880
"""120 ms at 24 kHz, the longest packet Opus allows."""
MAX_PACKET = 1275

Application = Literal["voip", "audio", "lowdelay"]
_APPLICATIONS: dict[Application, int] = {"voip": 2048, "audio": 2049, "lowdelay": 2051}

_SET_BITRATE, _SET_COMPLEXITY, _SET_INBAND_FEC, _SET_PACKET_LOSS_PERC, _SET_SIGNAL = (
    4002,
    4010,
    4012,
    4014,
    4024,
)
_SET_VBR = 4006
_RESET_STATE = 4028
_SIGNAL_VOICE = 3001


class OpusError(ValueError):
    """libopus is missing or refused the data."""


def _candidates() -> list[str]:
    names = ["libopus.so.0"]
    spec = importlib.util.find_spec("av")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        names += sorted(glob.glob(os.path.join(os.path.dirname(folder), "av.libs", "libopus*.so*")))
    found = ctypes.util.find_library("opus")
    return names if found is None else [*names, found]


@functools.cache
def library() -> ctypes.PyDLL:
    """The loaded libopus. Raises :class:`OpusError` with what to install."""
    for name in _candidates():
        try:
            # PyDLL keeps the GIL over a call: one takes 30 to 200 µs, and getting the GIL back from
            # another thread can take the interpreter's whole 5 ms switch interval.
            lib = ctypes.PyDLL(name)
        except OSError:
            continue
        lib.opus_encoder_create.restype = ctypes.c_void_p
        lib.opus_decoder_create.restype = ctypes.c_void_p
        lib.opus_encoder_destroy.argtypes = [ctypes.c_void_p]
        lib.opus_encoder_destroy.restype = None
        lib.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
        lib.opus_decoder_destroy.restype = None
        lib.opus_encode.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32,
        ]  # fmt: skip
        lib.opus_decode.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int,
        ]  # fmt: skip
        lib.opus_packet_get_nb_samples.argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32]
        lib.opus_strerror.restype = ctypes.c_char_p
        return lib
    raise OpusError("libopus was not found: install the system package libopus0 (or the PyPI package av)")


def _check(code: int, what: str) -> int:
    if code < 0:
        raise OpusError(f"{what}: {library().opus_strerror(code).decode()}")
    return code


def packet_samples(packet: bytes) -> int:
    """How long a packet is, in samples at 24 kHz. Raises :class:`OpusError` if it is none."""
    return _check(
        library().opus_packet_get_nb_samples(packet, len(packet), SAMPLE_RATE), "not an Opus packet"
    )


class Encoder:
    """One direction of one call: 24 kHz mono PCM16LE frames -> Opus packets."""

    def __init__(
        self,
        *,
        application: Application = "lowdelay",
        bitrate: int = 48000,
        complexity: int = 5,
        loss_percent: int = 5,
        constant: bool = False,
    ) -> None:
        """``loss_percent``: what in-band FEC is dosed for. ``constant``: packets of one size (CBR)."""
        self._lib = library()
        error = ctypes.c_int()
        handle = self._lib.opus_encoder_create(
            SAMPLE_RATE, 1, _APPLICATIONS[application], ctypes.byref(error)
        )
        _check(error.value, "opus_encoder_create")
        self._handle = ctypes.c_void_p(handle)
        self._out = ctypes.create_string_buffer(MAX_PACKET)
        self._control(_SET_BITRATE, bitrate)
        self._control(_SET_COMPLEXITY, complexity)
        self._control(_SET_SIGNAL, _SIGNAL_VOICE)
        if constant:
            self._control(_SET_VBR, 0)
        if application != "lowdelay":  # only the SILK modes carry in-band FEC
            self._control(_SET_INBAND_FEC, 1)
            self._control(_SET_PACKET_LOSS_PERC, loss_percent)

    def encode(self, pcm: bytes) -> bytes:
        """One frame of 2.5, 5, 10, 20, 40 or 60 ms -> one packet."""
        size = self._lib.opus_encode(self._handle, pcm, len(pcm) // 2, self._out, MAX_PACKET)
        return ctypes.string_at(self._out, _check(size, "opus_encode"))

    def reset(self) -> None:
        """Forget the past: another stream begins."""
        _check(self._lib.opus_encoder_ctl(self._handle, _RESET_STATE), "opus reset")

    def _control(self, request: int, value: int) -> None:
        _check(self._lib.opus_encoder_ctl(self._handle, request, ctypes.c_int(value)), f"opus ctl {request}")

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            self._lib.opus_encoder_destroy(handle)


class Decoder:
    """The other direction: Opus packets of any mode and length -> 24 kHz mono PCM16LE."""

    def __init__(self) -> None:
        self._lib = library()
        error = ctypes.c_int()
        handle = self._lib.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        _check(error.value, "opus_decoder_create")
        self._handle = ctypes.c_void_p(handle)
        self._out = ctypes.create_string_buffer(2 * MAX_FRAME_SAMPLES)

    def decode(self, packet: bytes) -> bytes:
        """The sound of a packet. Raises :class:`OpusError` for bytes that are no Opus."""
        return self._decode(packet, len(packet), MAX_FRAME_SAMPLES, 0)

    def conceal(self, samples: int) -> bytes:
        """Sound to stand in for ``samples`` that were lost (a multiple of 60, at most 2880)."""
        return self._decode(None, 0, samples, 0)

    def recover(self, following: bytes, samples: int) -> bytes:
        """The ``samples`` before ``following``, from the in-band FEC it may carry, else concealed."""
        return self._decode(following, len(following), samples, 1)

    def carries_past(self, packet: bytes) -> bool:
        """Whether a packet of one frame carries the frame before it (RFC 6716 sections 3.1 and 4.2.3)."""
        kind = packet[0] >> 3
        if kind >= 16 or packet[0] & 3 or len(packet) < 2:  # CELT alone; several frames; nothing in it
            return False
        # A SILK frame begins with a VAD bit for each 20 ms, then the bit that is asked for; stereo has both
        # twice.
        frames = (1, 1, 2, 3)[kind & 3] if kind < 12 else 1
        flags = 1 << 7 - frames
        if packet[0] & 4:
            flags |= 1 << 6 - 2 * frames
        return bool(packet[1] & flags)

    def reset(self) -> None:
        """Forget the past: another stream begins."""
        _check(self._lib.opus_decoder_ctl(self._handle, _RESET_STATE), "opus reset")

    def _decode(self, packet: bytes | None, size: int, samples: int, fec: int) -> bytes:
        count = self._lib.opus_decode(self._handle, packet, size, self._out, samples, fec)
        return ctypes.string_at(self._out, 2 * _check(count, "opus_decode"))

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            self._lib.opus_decoder_destroy(handle)
